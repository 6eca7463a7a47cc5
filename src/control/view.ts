/** Masters and slaves as `--json` and the API show them: the registry's wishes with what the kernel says. */
import { slaveArguments } from '../../qemu/netdev.js';
import { vhostAvailable } from '../../qemu/vhost.js';
import { deviceFeatures } from '../sys/ethtool.js';
import { SysError } from '../sys/libc.js';
import { IFF_LOWER_UP } from '../sys/netlink/link.js';
import { familyOf } from './addresses.js';
import type { Estate } from './estate.js';
import { effectiveLimits } from './limits.js';
import type {
	AddressEntry,
	Domain,
	Listing,
	Master,
	NicFeatures,
	Slave,
	SlaveStats,
	Statistics,
} from './model.js';
import type { DomainRecord, MasterRecord, Registry, SlaveRecord } from './registry.js';
import { canOpen } from './users.js';

export function viewMaster(registry: Registry, estate: Estate, record: MasterRecord): Master {
	const open = estate.port(record.name);
	const problem = estate.problems.get(record.name);
	const warnings = [
		...(open?.port.warnings ?? []),
		...(open?.link.masterIfindex === undefined ? [] : [taken]),
	];
	const nic = open && nicFeatures(open.link.name);
	return {
		name: record.name,
		ifindex: open?.link.ifindex ?? 0,
		mac: open?.link.mac ?? '',
		mtu: open?.link.mtu ?? 0,
		state: open && (open.link.flags & IFF_LOWER_UP) !== 0 ? 'up' : 'down',
		mode: record.mode,
		flag: record.flag,
		offload: open?.port.offload.name ?? 'none',
		...(open?.port.offload.detail === undefined ? {} : { offloadDetail: open.port.offload.detail }),
		...(nic === undefined ? {} : { nic }),
		ageing: record.ageing,
		host: open?.port.hostInterface ?? null,
		...(record.multicastSlave === undefined ? {} : { multicastSlave: record.multicastSlave }),
		slaves: registry.slaves(record.name).length,
		stats: open?.port.stats() ?? noStats(),
		...(problem === undefined ? {} : { problem }),
		...(warnings.length > 0 ? { warnings } : {}),
	};
}

/** @param vhost does this machine have a working vhost-net? */
export function viewSlave(
	registry: Registry,
	estate: Estate,
	record: SlaveRecord,
	vhost = vhostAvailable(),
): Slave {
	const { name, master, ifname, mac, learn, queues, owner, ephemeral, domain } = record;
	const { mode } = registry.requireMaster(master);
	const tap = estate.tap(name);
	const problem = estate.problems.get(name) ?? estate.problems.get(master);
	const rxFilter = estate.qmpSockets.pathOf(record);
	const plugged = problem === undefined ? estate.port(master)?.port : undefined;
	const nic = { name, ifname: tap?.link.name ?? ifname, mac, mtu: tap?.link.mtu ?? 0, queues };
	return {
		...nic,
		master,
		mode,
		ifindex: tap?.link.ifindex ?? 0,
		state: tap?.link.carrier ? 'up' : 'down',
		learn,
		limits: effectiveLimits(record.limits),
		allow: record.allow ?? [],
		addresses: plugged?.addresses(name) ?? record.addresses.map(given),
		groups: plugged?.groups(name) ?? { inet: 'all', inet6: 'all' },
		offload: plugged?.offload.name ?? 'none',
		qemuArgs: slaveArguments(nic, 'qemu', { vhost: vhost && canOpen('/dev/vhost-net', owner) }),
		stats: plugged?.slaveStats(name) ?? noStats(),
		owner,
		ephemeral,
		...(rxFilter === undefined ? {} : { rxFilter }),
		...(domain === undefined
			? {}
			: { domain: { ...domain, state: registry.domain(domain.name)?.state ?? 'running' } }),
		...(problem === undefined ? {} : { problem }),
	};
}

export function viewAll(registry: Registry, estate: Estate): Listing {
	const vhost = vhostAvailable();
	const domains = registry.domains().map(viewDomain);
	return {
		masters: registry.masters().map(record => viewMaster(registry, estate, record)),
		slaves: registry.slaves().map(record => viewSlave(registry, estate, record, vhost)),
		...(domains.length > 0 ? { domains } : {}),
	};
}

function viewDomain({ name, uuid, state, nics }: DomainRecord): Domain {
	return {
		name,
		uuid,
		state,
		nics: nics.map(({ name: nic, ifname, master, mac, addresses }) => ({
			name: nic,
			ifname,
			master,
			mac,
			addresses,
		})),
	};
}

export function viewStatistics(registry: Registry, estate: Estate): Statistics {
	const { masters, slaves } = viewAll(registry, estate);
	return {
		masters: masters.map(({ name, stats }) => ({ name, stats })),
		slaves: slaves.map(({ name, master, stats }) => ({ name, master, stats })),
	};
}

function given(address: string): AddressEntry {
	return { address, family: familyOf(address), origin: 'static' };
}

const taken = 'it was put into a bridge or bond, and serves only one: take it out again';

/** Undefined for a device that has gone, or been renamed, this moment. */
function nicFeatures(ifname: string): NicFeatures | undefined {
	try {
		const features = deviceFeatures(ifname);
		return {
			hwTcOffload: features.get('hw-tc-offload') ?? 'unavailable',
			l2FwdOffload: features.get('l2-fwd-offload') ?? 'unavailable',
		};
	} catch (error) {
		if (error instanceof SysError) return undefined;
		throw error;
	}
}

function noStats(): SlaveStats {
	const none = () => ({ packets: 0, bytes: 0 });
	return { rx: none(), tx: none(), drops: {}, queued: 0 };
}
