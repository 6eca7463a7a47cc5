import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { IpvtapError } from '../../errors.js';
import { toolsEnv } from '../../lab/command.js';
import { BridgePeer, GuardedBridgePeer, SnoopingBridgePeer } from './bridge.js';
import { TwinPeer } from './c-twin.js';
import { IpvtapPeer } from './ipvtap.js';
import { RoutingIpvtapPeer } from './ipvtap-l3.js';
import { MacvtapPeer } from './macvtap.js';
import { OvsPeer } from './ovs.js';
import type { Need, Peer } from './peer.js';
import { RoutedPeer, TranslatedPeer } from './routed.js';
import { VdePeer } from './vde.js';

interface Entry {
	/** Among those that run when nobody says which, and among those of `--quick`. */
	usual: boolean;
	quick: boolean;
	/** Whether a frame is dealt with on the processor that sends it, so that its instructions can be counted. */
	counted?: true;
	make(): Peer;
}

/** What the others are compared with. */
export const BASELINE = 'bridge';
export const OFFLOAD = 'ipvtap-tc-bpf';
export const USERSPACE = 'ipvtap';

const entries: Readonly<Record<string, Entry>> = {
	[BASELINE]: { usual: true, quick: true, counted: true, make: () => new BridgePeer() },
	'bridge-nft': { usual: true, quick: true, counted: true, make: () => new GuardedBridgePeer() },
	'bridge-snoop': { usual: false, quick: false, make: () => new SnoopingBridgePeer() },
	[OFFLOAD]: {
		usual: true,
		quick: true,
		counted: true,
		make: () =>
			new IpvtapPeer(
				OFFLOAD,
				['--offload', 'tc-bpf'],
				'ipvtap, eBPF at TC ingress (tcx where the kernel has it, else clsact)',
			),
	},
	[USERSPACE]: {
		usual: true,
		quick: true,
		make: () => new IpvtapPeer(USERSPACE, ['--offload', 'none'], 'ipvtap, userspace forwarder', ['programs']),
	},
	'ipvtap-l3': { usual: true, quick: false, counted: true, make: () => new RoutingIpvtapPeer('ipvtap-l3') },
	'c-twin': { usual: true, quick: true, make: () => new TwinPeer('c-twin', 'ring') },
	'c-sendmmsg': { usual: false, quick: false, make: () => new TwinPeer('c-sendmmsg', 'messages') },
	macvtap: { usual: true, quick: false, counted: true, make: () => new MacvtapPeer() },
	routed: { usual: true, quick: false, counted: true, make: () => new RoutedPeer() },
	'routed-nat': { usual: true, quick: false, make: () => new TranslatedPeer() },
	ovs: { usual: true, quick: false, make: () => new OvsPeer() },
	vde: { usual: true, quick: false, make: () => new VdePeer() },
};

export const peerNames = Object.keys(entries);

export function isCounted(name: string): boolean {
	return entries[name]?.counted === true;
}

export type MakePeer = () => Peer;

/** The baseline comes first. @throws IpvtapError `usage` for a name that isn't in the list. */
export function choosePeers(names: readonly string[], quick: boolean): MakePeer[] {
	for (const name of names) {
		if (!Object.hasOwn(entries, name)) {
			throw new IpvtapError('usage', `--peers ${name}: there is no such peer`, {
				hint: `choose from ${peerNames.join(', ')}`,
			});
		}
	}
	return Object.entries(entries)
		.filter(([name, entry]) =>
			names.length ? name === BASELINE || names.includes(name) : quick ? entry.quick : entry.usual,
		)
		.map(([, { make }]) => make);
}

/** @returns why a peer or a row can't be measured here, with what to do about it; undefined if it can. */
export function lackOf({ needs }: { needs?: Need }): string | undefined {
	if (needs === undefined) return undefined;
	if (toolsEnv.PATH!.split(delimiter).some(folder => existsSync(join(folder, needs.program))))
		return undefined;
	return `${needs.program} is missing (apt-get install --no-install-recommends ${needs.package})`;
}
