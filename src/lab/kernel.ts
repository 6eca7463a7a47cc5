import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IpvtapError } from '../errors.js';
import { cached, cacheFolder } from './cache.js';
import { exec, run } from './command.js';
import { fetchPackage, updateLists } from './debian-package.js';
import { unpackVmlinux } from './vmlinux.js';

export interface GuestKernel {
	/** As `uname -r` gives it in the guest. */
	version: string;
	/** The unpacked ELF kernel. */
	vmlinux: string;
	/** Folder with the module files, flat, and `modules.builtin`: the paths of those that are in the kernel itself. */
	modules: string;
}

/**
 * Debian's stock kernel, downloaded with apt once and never installed. The newest one in the cache is
 * taken as it is, so that a machine that has run a guest needs no network for the next. `IPVTAP_LAB_KERNEL`
 * names another that apt knows, such as backports' `6.12.95+deb12-amd64`.
 *
 * @throws IpvtapError `failed` where apt can't give it.
 */
export async function guestKernel(): Promise<GuestKernel> {
	const { IPVTAP_LAB_KERNEL: chosen } = process.env;
	const version = chosen || (await versionInCache()) || (await versionInApt());
	const name = (chosen ? chosenPrefix : cachePrefix) + version;
	const folder = await cached(name, path => fetchKernel(version, path));
	return { version, vmlinux: join(folder, 'vmlinux'), modules: join(folder, 'modules') };
}

/**
 * The module files needed for `names`, each after those it depends on.
 *
 * @throws IpvtapError `not-found` for a module that isn't in the guest kernel's folder.
 */
export async function moduleClosure(kernel: GuestKernel, names: readonly string[]): Promise<string[]> {
	const ordered = new Set<string>();
	const builtIn = fileName(await readFile(join(kernel.modules, 'modules.builtin'), 'utf8'));
	const visit = async (name: string): Promise<void> => {
		const file = join(kernel.modules, fileName(`${name}.ko`));
		if (ordered.has(file) || builtIn.includes(`/${basename(file)}\n`)) return;
		if (!existsSync(file)) {
			throw new IpvtapError(
				'not-found',
				`find the module ${name} of ${kernel.version}: it isn't in ${kernel.modules}`,
			);
		}
		for (const needed of moduleDepends(await readFile(file))) await visit(needed);
		ordered.add(file);
	};
	for (const name of names) await visit(name);
	return [...ordered];
}

/** The kernel takes the one for the other in names of modules. */
function fileName(name: string): string {
	return name.replaceAll('-', '_');
}

/** The "depends=a,b" of a module's .modinfo section, whose strings are separated by zero bytes. */
export function moduleDepends(module: Buffer): string[] {
	const start = module.indexOf('\0depends=') + 1;
	if (start === 0) return [];
	return module
		.toString('latin1', start + 'depends='.length, module.indexOf(0, start))
		.split(',')
		.filter(Boolean);
}

/** The meta package whose dependency is the current kernel. The cloud kernel boots no faster and has less. */
const metaPackage = 'linux-image-amd64';

/**
 * What is kept of the package's 400 MB: virtio, VLANs, an emulated NIC without offloads; and for a guest that
 * works on this machine's files and stands in for its kernel: 9p, the drivers that ipvtap is measured by and those
 * that it needs, and nftables with conntrack.
 */
const kept = [
	'drivers/virtio',
	'drivers/char/virtio_console.ko',
	'drivers/net/virtio_net.ko',
	'drivers/net/net_failover.ko',
	'drivers/net/ethernet/intel/e1000',
	'net/core/failover.ko',
	'net/8021q',
	'net/802',
	'net/llc',
	'net/bridge/bridge.ko',
	'net/bridge/netfilter/nft_meta_bridge.ko',
	'drivers/net/ipvlan',
	'drivers/net/macvlan.ko',
	'drivers/net/macvtap.ko',
	'drivers/net/tap.ko',
	'drivers/net/tun.ko',
	'drivers/net/veth.ko',
	'fs/9p',
	'fs/fscache',
	'fs/netfs',
	'net/9p',
	'net/sched/sch_ingress.ko',
	'net/sched/cls_bpf.ko',
	'net/sched/cls_flower.ko',
	'net/sched/act_gact.ko',
	'net/sched/act_mirred.ko',
	'net/sched/act_pedit.ko',
	'net/netfilter/nf_tables.ko',
	'net/netfilter/nfnetlink.ko',
	'net/netfilter/nf_conntrack.ko',
	'net/netfilter/nft_ct.ko',
	'net/ipv4/netfilter/nf_defrag_ipv4.ko',
	'net/ipv6/netfilter/nf_defrag_ipv6.ko',
	'lib/libcrc32c.ko',
	'crypto/crc32c_generic.ko',
];

/** A kernel of which other modules are kept is another one. */
const keptHash = createHash('sha256')
	.update(['modules.builtin', ...kept].join(' '))
	.digest('hex')
	.slice(0, 8);
const cachePrefix = `guest-kernel-${keptHash}-`;
/** One that was asked for is nobody else's newest. */
const chosenPrefix = `chosen-kernel-${keptHash}-`;

async function versionInCache(): Promise<string | undefined> {
	const names = await readdir(cacheFolder()).catch(() => []);
	const found = names.filter(
		name => name.startsWith(cachePrefix) && /^\d/.test(name.slice(cachePrefix.length)),
	);
	found.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
	return found.at(-1)?.slice(cachePrefix.length);
}

async function versionInApt(): Promise<string> {
	const version = (await dependsOf(metaPackage)) ?? (await updateLists().then(() => dependsOf(metaPackage)));
	if (version !== undefined) return version;
	throw new IpvtapError('failed', `find a kernel for the guests: apt doesn't know ${metaPackage}`, {
		hint: 'apt-get update',
	});
}

async function dependsOf(name: string): Promise<string | undefined> {
	const { out } = await run('apt-cache', ['depends', name]);
	return /Depends: linux-image-(\S+)/.exec(out)?.[1];
}

async function fetchKernel(version: string, folder: string): Promise<void> {
	const modules = join(folder, 'modules');
	const tree = join(folder, 'tree');
	await mkdir(modules, { recursive: true });
	await mkdir(tree);
	await fetchPackage(`linux-image-${version}`, tree, [
		'./boot/vmlinuz-*',
		'./lib/modules/*/modules.builtin',
		...kept.map(path => `./lib/modules/*/kernel/${path}*`),
	]);
	const packed = (await readdir(tree, { recursive: true })).filter(path => path.endsWith('.ko.xz'));
	if (packed.length > 0) await exec('xz', ['-d', ...packed], { cwd: tree });
	for (const path of await readdir(tree, { recursive: true })) {
		if (path.endsWith('.ko') || path.endsWith('modules.builtin')) {
			await rename(join(tree, path), join(modules, fileName(basename(path))));
		}
		if (path.startsWith('boot/vmlinuz-')) await unpackVmlinux(join(tree, path), join(folder, 'vmlinux'));
	}
	await rm(tree, { recursive: true });
}
