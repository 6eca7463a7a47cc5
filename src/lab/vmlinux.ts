import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { IpvtapError } from '../errors.js';
import { closed, toolsEnv } from './command.js';

/**
 * Unpacks the ELF kernel inside a bzImage. QEMU boots it through the PVH entry, and the guest is spared
 * unpacking itself, which under TCG costs it 0.3 s, and seconds on a busy machine.
 *
 * Fields of the setup header, little-endian (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"):
 *
 *     0x1f1  u8   setup_sects: 512-byte sectors of real-mode code after the first; 0 means 4
 *     0x202  u32  "HdrS"
 *     0x206  u16  protocol version; the two fields below exist since 2.08
 *     0x248  u32  payload_offset: bytes from the start of the protected-mode code
 *     0x24c  u32  payload_length
 *
 * The payload is a compressed ELF file; all formats but gzip are followed by its size, 4 bytes.
 *
 * @throws IpvtapError `failed` when the file isn't such an image or the unpacker fails.
 */
export async function unpackVmlinux(bzImage: string, vmlinux: string): Promise<void> {
	const image = await readFile(bzImage);
	if (image.length < 0x250 || image.toString('latin1', 0x202, 0x206) !== 'HdrS') {
		throw new IpvtapError('failed', `unpack ${bzImage}: not a bzImage`);
	}
	if (image.readUInt16LE(0x206) < 0x208) {
		throw new IpvtapError('failed', `unpack ${bzImage}: its boot protocol is older than 2.08`);
	}
	const start = ((image[0x1f1] || 4) + 1) * 512 + image.readUInt32LE(0x248);
	const payload = image.subarray(start, start + image.readUInt32LE(0x24c));
	const format = formats.find(({ magic }) => payload.subarray(0, magic.length).equals(magic));
	if (format === undefined) {
		const magic = payload.subarray(0, 4).toString('hex');
		throw new IpvtapError(
			'failed',
			`unpack ${bzImage}: a payload that begins with ${magic} is of no known kind`,
		);
	}
	const file = await open(vmlinux, 'w');
	try {
		if (format.unpacker === undefined) await file.writeFile(gunzipSync(payload));
		else await pipeThrough(format.unpacker, payload.subarray(0, -4), file.fd);
	} finally {
		await file.close();
	}
}

interface Format {
	magic: Buffer;
	/** The program that unpacks standard input to standard output. */
	unpacker?: readonly [file: string, ...args: string[]];
}

/** Debian 12 packs its kernels with xz, its cloud kernels with lz4; later ones use zstd. */
const formats: readonly Format[] = [
	{ magic: Buffer.from('fd377a585a00', 'hex'), unpacker: ['xz', '-dc', '-T0'] },
	{ magic: Buffer.from('02214c18', 'hex'), unpacker: ['lz4', '-dc'] },
	{ magic: Buffer.from('28b52ffd', 'hex'), unpacker: ['zstd', '-dc'] },
	{ magic: Buffer.from('1f8b08', 'hex') },
];

async function pipeThrough(
	[file, ...args]: readonly [string, ...string[]],
	input: Buffer,
	outFd: number,
): Promise<void> {
	const child = spawn(file, args, { stdio: ['pipe', outFd, 'pipe'], env: toolsEnv });
	const words: Buffer[] = [];
	child.stderr?.on('data', (chunk: Buffer) => words.push(chunk));
	child.stdin?.on('error', () => {});
	child.stdin?.end(input);
	const rc = await closed(child, file);
	if (rc !== 0) {
		throw new IpvtapError(
			'failed',
			`unpack a kernel with ${file}: ${Buffer.concat(words).toString().trim()}`,
		);
	}
}
