/** One member of an initramfs: a file with its bytes, or a folder where `data` is left out. */
export interface InitramfsEntry {
	/** Path without a leading slash. */
	path: string;
	/** Permission bits. */
	mode: number;
	data?: Buffer;
}

/**
 * Packs an uncompressed initramfs, a cpio archive of the "newc" kind
 * (Documentation/driver-api/early-userspace/buffer-format.rst): per member
 *
 *     0    6 bytes        "070701"
 *     6    13 × 8 digits  hexadecimal: ino, mode, uid, gid, nlink, mtime, filesize, major, minor, rmajor,
 *                         rminor, namesize (with the final zero), check (0)
 *     110  name, zero, padding to a multiple of 4 of the whole, data, padding to a multiple of 4
 *
 * ended by an empty member named TRAILER!!!. Folders have to come before what is in them.
 */
export function packInitramfs(entries: readonly InitramfsEntry[]): Buffer {
	const parts: Buffer[] = [];
	entries.forEach((entry, index) => {
		const type = entry.data === undefined ? folderType : fileType;
		parts.push(...member(index + 1, type | entry.mode, entry.path, entry.data ?? Buffer.alloc(0)));
	});
	parts.push(...member(0, 0, 'TRAILER!!!', Buffer.alloc(0)));
	return Buffer.concat(parts);
}

/** S_IFDIR and S_IFREG of inode(7). */
const folderType = 0o040000;
const fileType = 0o100000;

function member(inode: number, mode: number, path: string, data: Buffer): Buffer[] {
	const name = Buffer.from(`${path}\0`);
	const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
	const header = '070701' + fields.map(field => field.toString(16).padStart(8, '0')).join('');
	return [Buffer.from(header), name, padding(header.length + name.length), data, padding(data.length)];
}

function padding(length: number): Buffer {
	return Buffer.alloc(-length & 3);
}
