/**
 * Whole guests under QEMU, all at once, each with another distribution's way to its addresses: leases of both
 * families, SLAAC, pings of everybody by everybody, mDNS, renewal; by a switch that passes the master's MAC alone.
 */
import test, { type ExecutionContext } from 'ava';
import type { AddressEntry, Slave } from '../../src/control/model.js';
import { Guest } from '../../src/lab/guest.js';
import { lanMembers } from '../../src/lab/lan.js';
import type { Program } from '../../src/lab/programs.js';
import { type Peer, reachAll } from '../../src/lab/reach.js';
import { until } from '../../src/lab/wait.js';
import { type ClientName, clientRecipe, type Family, networkdPath } from '../helpers/dhcp-clients.js';
import { GroupSocket } from '../helpers/group-socket.js';
import { mdnsQuestion } from '../helpers/mdns.js';
import { userLines } from '../helpers/private-user.js';
import { unpackedAvahi } from '../helpers/unpacked.js';
import { dhcpd } from '../integration/dhcp/dhcpd.js';
import { Place, quickLeases } from '../integration/dhcp/place.js';

interface Whole {
	name: ClientName;
	guest: Guest;
}

/** busybox's client has no IPv6 in Debian: its guest's kernel makes addresses by SLAAC. */
const clients: Readonly<Record<ClientName, readonly Family[]>> = {
	udhcpc: [4],
	dhclient: [4, 6],
	dhcpcd: ['both'],
	networkd: ['both'],
};

test('udhcpc, dhclient, dhcpcd and systemd-networkd, each in a machine of its own', async t => {
	const place = await Place.create(t, 'whole', { dnsmasq: [] });
	const { log } = await place.lan.dnsmasq(place.lan.router, quickLeases);
	await place.radvd('AdvManagedFlag on; prefix 2001:db8:1::/64 { };');
	const server6 = await dhcpd(place.lan, place.lan.router, 'one');
	t.teardown(server6.stop);
	const programs = await programsOfGuests();
	const guests = await Promise.all(
		(Object.keys(clients) as ClientName[]).map(name => boot(t, place, name, programs)),
	);
	const peers = await Promise.all(guests.map(guest => addressed(place, guest)));
	t.is(new Set(peers.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6])).size, 2 * guests.length);

	const members = (['host', 'laptop', 'router'] as const).map(name => member(place, name));
	await everybodyReachesEverybody(t, [...peers, ...members]);
	await Promise.all(
		['host', 'laptop'].map(name => answersByName(t, place, name as 'host' | 'laptop', guests)),
	);
	await Promise.all(guests.map(guest => renewed(place, guest, log)));
	t.true(
		server6.log.some(line => line.startsWith('Renew message')),
		'the DHCPv6 server heard renewals',
	);
	await place.onlyTheMaster(t);
	for (const { guest } of guests) t.is(await guest.stop(), 0);
	t.deepEqual((await place.product.list()).slaves, []);
});

async function programsOfGuests(): Promise<Program[]> {
	const installed = ['/usr/sbin/dhclient', '/usr/sbin/dhcpcd', networkdPath];
	return [...installed.map(path => ({ path })), await unpackedAvahi()];
}

async function boot(
	t: ExecutionContext,
	place: Place,
	name: ClientName,
	programs: readonly Program[],
): Promise<Whole> {
	const guest = await Guest.boot({
		name,
		prefix: [...place.product.words, 'run', '--master', 'eth0', '--name', name, '--'],
		env: place.product.env,
		addresses: { eth0: [] },
		programs,
		bootTimeout: 120_000,
	});
	t.teardown(() => guest.stop());
	const avahi = userLines('avahi', 199);
	// What an installation of them would have made.
	await guest.exec(`
mkdir -p /var/lib /run /usr/lib/dhcpcd
touch /etc/machine-id
grep -q ^avahi: /etc/group || echo '${avahi.group}' >> /etc/group
grep -q ^avahi: /etc/passwd || echo '${avahi.passwd}' >> /etc/passwd`);
	await guest.addressesReady();
	for (const family of clients[name]) await start(guest, name, family);
	const daemon = programs.at(-1)!;
	await guest.exec(`
mkdir -p /run/avahi-daemon
cat > /tmp/avahi.conf << end
[server]
host-name=${name}
enable-dbus=no
allow-interfaces=eth0
end
LD_LIBRARY_PATH=${daemon.libraries} ${daemon.path} --no-chroot --no-drop-root --no-rlimits -f /tmp/avahi.conf > /tmp/avahi.log 2>&1 &`);
	return { name, guest };
}

async function start(guest: Guest, name: ClientName, family: Family): Promise<void> {
	const { files, words } = clientRecipe(name, name, 'busybox', { family, folder: '/tmp' });
	for (const [file, text] of Object.entries(files)) {
		const encoded = Buffer.from(text).toString('base64');
		await guest.exec(`echo ${encoded} | base64 -d > /tmp/${file}; chmod 755 /tmp/${file}`);
	}
	const quoted = words.map(word => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
	await guest.exec(`${quoted} > /tmp/${name}-${family}.log 2>&1 & echo $! > /tmp/${name}-${family}.pid`);
}

/** Waits for all addresses that the guest should have, and for those that it uses itself. */
async function addressed(place: Place, { name, guest }: Whole): Promise<Peer> {
	try {
		const slave = await until(`the addresses of ${name}`, 90_000, async () => {
			const shown = await place.product.json<Slave>('show', name);
			const enough = lease(shown, 'inet') && made(shown) && (name === 'udhcpc' || lease(shown, 'inet6'));
			return enough ? shown : undefined;
		});
		await guest.addressesReady();
		const ipv6 = (lease(slave, 'inet6') ?? made(slave)!).address;
		// Both are the guest's, and it is the LAN's other end that says so.
		await place.lan.laptop.exec('ping', ['-c', '2', '-i', '0.2', '-W', '3', made(slave)!.address]);
		return { name, ipv4: lease(slave, 'inet')!.address, ipv6, run: script => guest.run(script) };
	} catch (error) {
		const logs = await guest.run('ip address; tail -n 30 /tmp/*.log');
		throw new Error(`${(error as Error).message}\n${logs.out}`, { cause: error });
	}
}

function lease(slave: Slave, family: 'inet' | 'inet6'): AddressEntry | undefined {
	return slave.addresses.find(entry => entry.origin === 'dhcp' && entry.family === family);
}

/** The address by SLAAC, or one of them. */
function made(slave: Slave): AddressEntry | undefined {
	return slave.addresses.find(
		({ origin, address }) => origin === 'learned' && address.startsWith('2001:db8:1:'),
	);
}

function member(place: Place, name: 'host' | 'laptop' | 'router'): Peer {
	const { ipv4, ipv6 } = lanMembers[name];
	return { name, ipv4, ipv6, run: script => place.lan[name].run('sh', ['-c', script]) };
}

/** On a busy machine an answer may come too late for a ping: then all are pinged again. */
async function everybodyReachesEverybody(t: ExecutionContext, peers: readonly Peer[]): Promise<void> {
	for (let round = 1; ; round++) {
		const failed = (await reachAll(peers)).filter(({ ok }) => !ok);
		const words = failed.map(
			({ from, to, address, received }) => `${from} to ${to}, ${address}: ${received}`,
		);
		if (failed.length > 0 && round < 4) t.log(`round ${round}: of 3 answers came: ${words.join('; ')}`);
		else return void t.deepEqual(words, []);
	}
}

/** Asks for each guest's name by multicast, and hears each answer once, from the guest's own address. */
async function answersByName(
	t: ExecutionContext,
	place: Place,
	asker: 'host' | 'laptop',
	guests: readonly Whole[],
): Promise<void> {
	const socket = await GroupSocket.open(place.lan[asker], '224.0.0.251', 5353);
	t.teardown(() => socket.close());
	for (const { name } of guests) {
		const shown = await place.product.json<Slave>('show', name);
		const { address } = lease(shown, 'inet')!;
		socket.say(mdnsQuestion(name));
		const answer = ({ text, from }: { text: string; from: string }) =>
			from === address && text.includes(name);
		await until(`${asker} to hear ${name}.local`, 20_000, () => socket.heard.some(answer)).catch(
			async error => {
				const { guest } = guests.find(whole => whole.name === name)!;
				throw new Error(`${error.message}\n${(await guest.run('cat /tmp/avahi.log')).out}`);
			},
		);
	}
}

/** Waits until each of the guest's leases lasts longer than it did. */
async function renewed(place: Place, { name, guest }: Whole, log: readonly string[]): Promise<void> {
	const before = await place.product.json<Slave>('show', name);
	const { address } = lease(before, 'inet')!;
	const acknowledged = () => log.filter(line => line.includes(`DHCPACK(eth0) ${address} `)).length;
	const count = acknowledged();
	// busybox knows nothing of T1 and T2, but can be told.
	if (name === 'udhcpc') await guest.exec('kill -USR1 $(cat /tmp/udhcpc-4.pid)');
	await until(`${name} to renew`, 30_000, () => acknowledged() > count);
	const families = name === 'udhcpc' ? (['inet'] as const) : (['inet', 'inet6'] as const);
	await until(`${name}'s leases to last longer`, 30_000, async () => {
		const after = await place.product.json<Slave>('show', name);
		return families.every(
			family =>
				lease(after, family)!.address === lease(before, family)!.address &&
				lease(after, family)!.expires! > lease(before, family)!.expires!,
		);
	});
}
