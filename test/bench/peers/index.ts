import { IpvtapError } from '../../../src/errors.js';
import { BridgePeer } from './bridge.js';
import { TwinPeer } from './c-twin.js';
import { IpvtapPeer } from './ipvtap.js';
import type { Peer } from './peer.js';

interface Entry {
	/** Among those that run when nobody says which. */
	usual: boolean;
	make(): Peer;
}

/** What the others are compared with. */
export const BASELINE = 'bridge';

const entries: Readonly<Record<string, Entry>> = {
	[BASELINE]: { usual: true, make: () => new BridgePeer() },
	'c-twin': { usual: true, make: () => new TwinPeer('c-twin', 'ring') },
	'c-sendmmsg': { usual: false, make: () => new TwinPeer('c-sendmmsg', 'messages') },
	'ipvtap-tc-bpf': {
		usual: true,
		make: () =>
			new IpvtapPeer('ipvtap-tc-bpf', 'tc-bpf', 'ipvtap, eBPF at TC ingress (tcx)', {
				IPVTAP_TC_ATTACH: 'tcx',
			}),
	},
	ipvtap: { usual: true, make: () => new IpvtapPeer('ipvtap', 'none', 'ipvtap, userspace forwarder') },
};

export const peerNames = Object.keys(entries);

/** The baseline comes first. @throws IpvtapError `usage` for a name that isn't in the list. */
export function choosePeers(names: readonly string[]): Peer[] {
	for (const name of names) {
		if (!Object.hasOwn(entries, name)) {
			throw new IpvtapError('usage', `--peers ${name}: there is no such peer`, {
				hint: `choose from ${peerNames.join(', ')}`,
			});
		}
	}
	return Object.entries(entries)
		.filter(([name, { usual }]) => name === BASELINE || (names.length ? names.includes(name) : usual))
		.map(([, { make }]) => make());
}
