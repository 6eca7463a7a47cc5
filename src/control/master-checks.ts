/** Is this interface fit to be a master? Asked before anything is made, and each refusal says what to do. */
import { existsSync } from 'node:fs';
import { IpvtapError } from '../errors.js';
import { ARPHRD_ETHER, getLink, IFF_LOOPBACK, IFF_UP, type Link, listLinks } from '../sys/netlink/link.js';
import { checkInterfaceName, quote } from './names.js';
import { requireCapabilities } from './privileges.js';

export interface FitMaster {
	link: Link;
	/** What works all the same, but somebody should know. */
	warnings: string[];
}

/**
 * @param own is a device one of ours: a slave's TAP or a host slave?
 * @throws IpvtapError `permission`, `not-found`, `usage` (loopback, not Ethernet), `conflict` (it serves another).
 */
export function checkMaster(name: string, own: (link: Link) => boolean): FitMaster {
	checkInterfaceName(name);
	requireCapabilities(`use ${name} as a master`);
	requireTunDevice();
	const link = getLink(name);
	if (!link) {
		throw new IpvtapError('not-found', `can't use ${quote(name)} as a master: there is no such interface`, {
			hint: `interfaces here: ${
				listLinks()
					.filter(other => other.name !== 'lo' && !own(other))
					.map(other => other.name)
					.join(', ') || 'none but lo'
			}`,
		});
	}
	if (link.name !== name) {
		// The kernel finds a device by its alternative names too; two names would make two masters of it.
		throw unfit('usage', { name }, `it is another name of ${link.name}`, `use that: ${link.name}`);
	}
	refuseUnfit(link, own);
	refuseUsed(link);
	const down = (link.flags & IFF_UP) === 0;
	return {
		link,
		warnings: down
			? [`${link.name} is down: guests reach the wire when it is up (ip link set ${link.name} up)`]
			: [],
	};
}

function refuseUnfit(link: Link, own: (link: Link) => boolean): void {
	if ((link.flags & IFF_LOOPBACK) !== 0) {
		throw unfit(
			'usage',
			link,
			'it is the loopback interface',
			'choose the interface that leads to your LAN; see: ip -br link',
		);
	}
	if (link.arpType !== ARPHRD_ETHER) {
		throw unfit(
			'usage',
			link,
			`it is not Ethernet (ARPHRD ${link.arpType})`,
			'choose an Ethernet or Wi-Fi interface; see: ip -br link',
		);
	}
	if (own(link)) {
		throw unfit(
			'conflict',
			link,
			"it is ipvtap's own",
			'choose the interface that leads to your LAN; see: ip -br link',
		);
	}
}

/** An interface has one receive handler; whoever has it takes the frames before they reach us. */
function refuseUsed(link: Link): void {
	const links = listLinks();
	if (link.masterIfindex !== undefined) {
		const upper = links.find(other => other.ifindex === link.masterIfindex);
		const kind = upper?.kind ?? 'another device';
		const port = kind === 'bond' || kind === 'team' ? 'member' : 'port';
		throw unfit(
			'conflict',
			link,
			`it is a ${port} of the ${kind} ${upper?.name ?? link.masterIfindex}`,
			upper
				? `use ${upper.name} as the master, or take it out: ip link set ${link.name} nomaster`
				: `take it out: ip link set ${link.name} nomaster`,
		);
	}
	const upper = links.find(other => other.linkIfindex === link.ifindex && handlerKinds.has(other.kind ?? ''));
	if (upper) {
		throw unfit(
			'conflict',
			link,
			`the ${upper.kind} ${upper.name} sits on it`,
			`remove that first: ip link delete ${upper.name}`,
		);
	}
}

function requireTunDevice(): void {
	if (existsSync('/dev/net/tun')) return;
	throw new IpvtapError('permission', "can't make TAPs: there is no /dev/net/tun", {
		hint: 'sudo modprobe tun; in a container, start it with --device /dev/net/tun',
	});
}

function unfit(code: 'usage' | 'conflict', link: Pick<Link, 'name'>, why: string, hint: string): IpvtapError {
	return new IpvtapError(code, `can't use ${link.name} as a master: ${why}`, { hint });
}

/** Kinds that register an rx_handler on the device below them. */
const handlerKinds = new Set(['macvlan', 'macvtap', 'ipvlan', 'ipvtap']);
