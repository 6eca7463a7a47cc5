/**
 * What has to be so on another kernel too, one after the other on the same site: what differs between kernels, which is
 * how programs are verified, attached and swapped, and what the host's stack does. The rest is the same code everywhere.
 *
 * A step throws what is wrong, and gives back what is worth knowing.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { until } from '../../../src/lab/wait.js';
import { TcBpf } from '../../../src/offload/tc-bpf/tc-bpf.js';
import { getLink } from '../../../src/sys/netlink/link.js';
import { rooms } from '../../cases/index.js';
import { type ObjectIds, survivors } from '../../helpers/bpf-objects.js';
import { KernelPort } from '../../helpers/kernel-port.js';
import { within } from '../../helpers/tap-guest.js';
import { ethernet, ipv4, ipv6, udp } from '../datapath/frames.js';
import { far, type Guest, host, Site } from '../datapath/site.js';
import { Flows } from './flows.js';
import { judgeTable } from './kernel-judge.js';
import { attached, isEmpty, masterOf, note, numbersOf } from './kernel-side.js';

export interface Outcome {
	/** What it has to say, or what was wrong. */
	said: string;
	failed: boolean;
	seconds: number;
}

export const outcomesFile = 'outcomes.json';

export type Step = () => Promise<string> | string;

let site: Site;
let one: Guest;
let flows: Flows;
let devices: Record<string, number>;
const objects: ObjectIds = { programs: [], maps: [] };

export const siteSteps: Readonly<Record<string, Step>> = {
	'the decision table through the loaded programs, in all modes': () => {
		const kernel = new KernelPort(true);
		const cases = Object.values(rooms).flat();
		const found = judgeTable(cases, kernel);
		kernel.close();
		assert.deepEqual(found, { wrong: [], needless: [] });
		return `${cases.length} cases`;
	},

	'the programs come on, as filters': async () => {
		site = await Site.create('other', { up: ['--offload', 'tc-bpf'], service: true });
		one = await site.guest('one', 11);
		flows = new Flows(site, one, await site.guest('two', 12), await site.guest('liar', 13));
		const { offload, offloadDetail, problem } = (await site.product.list()).masters[0]!;
		assert.deepEqual([offload, offloadDetail, problem], ['tc-bpf', 'clsact', undefined]);
		devices = numbersOf(site);
		note(objects, await attached(site));
		return Object.keys(devices).join(', ');
	},

	'known addresses are forwarded in the kernel, and forged frames dropped and counted': async () => {
		await flows.runWhile(5);
		flows.verify(verifier, 'before');
		const [punted, sent] = [handedOver(), flows.sent];
		await flows.runWhile(30);
		flows.verify(verifier, 'with the daemon');
		const [taken, all] = [handedOver() - punted, flows.sent - sent];
		// Neighbours that ask for each other, and multicast of the host's.
		assert.ok(taken < all / 10, `${taken} of ${all} frames went to the daemon`);
		assert.deepEqual((await site.stats('liar')).drops, flows.forged);
		return `${all} frames, ${taken} handed over`;
	},

	'kill -9 of the daemon: known addresses go on, ARP and ND are answered, forged frames dropped':
		async () => {
			await site.product.signalDaemon('SIGKILL');
			await flows.runWhile(30);
			flows.verify(verifier, 'without a daemon');
			flows.verifyResolution(verifier, 'without a daemon');
			return `${flows.sent} frames`;
		},

	'the next daemon takes over under traffic': async () => {
		await flows.runWhile(20, site.product.daemon());
		flows.verify(verifier, 'with the next daemon');
		flows.verifyResolution(verifier, 'with the next daemon');
		assert.deepEqual(numbersOf(site), devices);
		note(objects, await attached(site));
		const { masters, slaves } = await site.product.list();
		assert.deepEqual([masters[0]!.offload, masters[0]!.problem], ['tc-bpf', undefined]);
		assert.deepEqual(slaves.map(({ name, problem }) => [name, problem]).sort(), [
			['liar', undefined],
			['one', undefined],
			['two', undefined],
		]);
		return `${flows.sent} frames`;
	},

	"l3s: by way of the host's stack to the LAN, and what was asked for comes back, in both families":
		async () => {
			await site.product.call('PATCH', '/v1/masters/eth0', { mode: 'l3s' });
			const { mode, offload, problem } = (await site.product.list()).masters[0]!;
			assert.deepEqual([mode, offload, problem], ['l3s', 'tc-bpf', undefined]);
			await site.host.ip(
				`neighbour replace ${far.ipv4} lladdr ${far.mac} dev eth0`,
				`neighbour replace ${far.ipv6} lladdr ${far.mac} dev eth0`,
			);
			await site.host.exec('nft', ['-f', '-'], { input: rules });
			for (const family of [4, 6] as const) {
				site.far.send(packet(family, far, { ...one, mac: host.mac }, unasked));
				one.end.send(packet(family, one, far));
				const [out] = site.far.receiveUntil(({ frame }) => isPacket(frame), 20_000).slice(-1);
				assert.equal(out!.frame.subarray(6, 12).toString('hex'), host.mac.replaceAll(':', ''));
				assert.equal(out!.frame[family === 4 ? 22 : 21], 63, 'a hop further');
				site.far.send(packet(family, far, { ...one, mac: host.mac }));
				const back = one.end.receiveUntil(({ frame }) => isPacket(frame), 20_000);
				assert.ok(!back.some(({ frame }) => frame.includes(unasked)), 'the forward chain lets nobody in');
			}
			await site.host.exec('nft', ['delete', 'table', 'inet', 'rules']);
			note(objects, await attached(site));
			return 'two packets each way';
		},

	'down leaves no program, map, qdisc, filter or device': async () => {
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
		assert.ok(objects.programs.length >= 6 && objects.maps.length >= 7, JSON.stringify(objects));
		await until('programs and maps to be gone', 30_000, () => isEmpty(survivors(objects)));
		return `${objects.programs.length} programs and ${objects.maps.length} maps are gone`;
	},
};

/** Nothing undoes it. */
export const lastSteps: Readonly<Record<string, Step>> = {
	'a kernel that is locked down is said to be': () => {
		execFileSync('mount', ['-t', 'securityfs', 'securityfs', '/sys/kernel/security']);
		writeFileSync('/sys/kernel/security/lockdown', 'confidentiality');
		const said = new TcBpf().probe('l3s');
		assert.match(said ?? 'nothing', /locked down/);
		return said!;
	},
};

/** Frames that the forwarder has been handed over by the programs. */
function handedOver(): number {
	return within(site.host, () => getLink(`ipvq-${masterOf(site)}`))!.stats.rx.packets;
}

function packet(family: 4 | 6, from: Party, to: Party, said = text): Buffer {
	const [source, destination] = family === 4 ? [from.ipv4, to.ipv4] : [from.ipv6, to.ipv6];
	const port = said === text ? 7 : 9;
	const datagram = udp(port, port, Buffer.from(said), [source, destination]);
	return family === 4
		? ethernet(to.mac, from.mac, 0x0800, ipv4({ source, destination }, datagram))
		: ethernet(to.mac, from.mac, 0x86dd, ipv6({ source, destination }, datagram));
}

function isPacket(frame: Buffer): boolean {
	return frame.includes(text);
}

type Party = Pick<Guest, 'mac' | 'ipv4' | 'ipv6'>;
const text = 'by way of the host';
const unasked = 'unasked for';
const rules = `table inet rules {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established accept
		iifname "ipvh-eth0" accept
	}
}`;

const verifier = {
	is: assert.strictEqual,
	true: (value: boolean, message: string) => assert.ok(value, message),
};
