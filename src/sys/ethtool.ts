/** What a device's driver and NIC can do by themselves: ethtool's features (linux/ethtool.h), as `ethtool -k` lists them. */
import { closeFd } from './fd.js';
import { ioctlPointer } from './ioctl.js';
import { check, libc } from './libc.js';
import { addressOf } from './memory.js';

/** `unavailable`: off, and nobody can switch it on. */
export type FeatureState = 'on' | 'off' | 'unavailable';

/**
 * All features that this kernel has a name for, as they are on the device.
 * @param ifname in the network namespace of the calling thread. @throws SysError, ENODEV if there is no such device.
 * @syscalls socket, ioctl(SIOCETHTOOL), close
 */
export function deviceFeatures(ifname: string): Map<string, FeatureState> {
	const fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
	try {
		const names = featureNames(fd, ifname);
		const blocks = Math.ceil(names.length / 32);
		// struct ethtool_gfeatures {u32 cmd, size; struct {u32 available, requested, active, never_changed} features[]}
		const words = new Uint32Array(2 + 4 * blocks);
		words.set([ETHTOOL_GFEATURES, blocks]);
		ethtool(fd, ifname, words);
		const has = (field: number, bit: number): boolean =>
			(((words[2 + 4 * (bit >> 5) + field] as number) >>> (bit & 31)) & 1) !== 0;
		const state = (bit: number): FeatureState => {
			if (has(ACTIVE, bit)) return 'on';
			return has(AVAILABLE, bit) && !has(NEVER_CHANGED, bit) ? 'off' : 'unavailable';
		};
		return new Map(names.map((name, bit) => [name, state(bit)]));
	} finally {
		closeFd(fd);
	}
}

/** By the bits that they have in this kernel. */
function featureNames(fd: number, ifname: string): string[] {
	// struct ethtool_sset_info {u32 cmd, reserved; u64 sset_mask; u32 data[]}
	const info = new Uint32Array(5);
	new BigUint64Array(info.buffer, 8, 1)[0] = 1n << BigInt(ETH_SS_FEATURES);
	info[0] = ETHTOOL_GSSET_INFO;
	ethtool(fd, ifname, info);
	const count = info[4] as number;
	// struct ethtool_gstrings {u32 cmd, string_set, len; u8 data[len * ETH_GSTRING_LEN]}
	const words = new Uint32Array(3 + (count * ETH_GSTRING_LEN) / 4);
	words.set([ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count]);
	ethtool(fd, ifname, words);
	const text = Buffer.from(words.buffer, 12);
	return Array.from({ length: count }, (_, index) => {
		const name = text.toString('latin1', index * ETH_GSTRING_LEN, (index + 1) * ETH_GSTRING_LEN);
		return name.slice(0, name.indexOf('\0'));
	});
}

/** @param words the command and its arguments; the answer comes in the same place. */
function ethtool(fd: number, ifname: string, words: Uint32Array): void {
	// struct ifreq {char name[16]; void *data; …}
	const request = new Uint8Array(40);
	request.set(Buffer.from(ifname, 'latin1').subarray(0, 15));
	new BigUint64Array(request.buffer, 16, 1)[0] = addressOf(words);
	check(ioctlPointer(fd, SIOCETHTOOL, request), `ask ${ifname} for its features`);
}

// Of ethtool_get_features_block.
const AVAILABLE = 0;
const ACTIVE = 2;
const NEVER_CHANGED = 3;
// linux/ethtool.h, linux/sockios.h, linux/socket.h
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_GFEATURES = 0x3a;
const ETH_SS_FEATURES = 4;
const ETH_GSTRING_LEN = 32;
const SIOCETHTOOL = 0x8946;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const socket = libc.func('int socket(int domain, int type, int protocol)') as (
	domain: number,
	type: number,
	protocol: number,
) => number;
