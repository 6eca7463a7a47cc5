/**
 * An empty disk that can hold snapshots, as QEMU's docs/interop/qcow2.txt has it: a header, a table of reference
 * counts, one block of these, and an empty table of what there is, each in a cluster of its own.
 */
export function emptyDisk(): Buffer {
	const image = Buffer.alloc(4 * cluster);
	image.write('QFI\xfb', 'latin1');
	image.writeUInt32BE(2, 4);
	image.writeUInt32BE(Math.log2(cluster), 20);
	image.writeBigUInt64BE(64n << 20n, 24);
	image.writeUInt32BE(1, 36);
	image.writeBigUInt64BE(BigInt(3 * cluster), 40);
	image.writeBigUInt64BE(BigInt(cluster), 48);
	image.writeUInt32BE(1, 56);
	image.writeBigUInt64BE(BigInt(2 * cluster), cluster);
	for (let used = 0; used < 4; used++) image.writeUInt16BE(1, 2 * cluster + 2 * used);
	return image;
}

const cluster = 65_536;
