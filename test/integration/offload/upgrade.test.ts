/**
 * Another version's programs, with maps that lie otherwise, are followed under traffic: by a daemon that neither knows
 * their layout nor numbers the edges as they do. They are this version's source with other structures, in the place of
 * what a daemon that was killed had attached.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { EDGE_HOST } from '../../../src/datapath/verdict.js';
import { until } from '../../../src/lab/wait.js';
import type { ProgramName } from '../../../src/offload/tc-bpf/kernel-object.js';
import {
	addressBytes,
	indexBytes,
	type MapName,
	mapShapes,
	ownerBytes,
	portBytes,
	senderBytes,
} from '../../../src/offload/tc-bpf/layout.js';
import { swapProgram } from '../../../src/sys/bpf/link.js';
import { BpfObject } from '../../../src/sys/bpf/object.js';
import { closeFd } from '../../../src/sys/fd.js';
import { requireLink } from '../../../src/sys/netlink/link.js';
import { replaceBpfFilter } from '../../../src/sys/netlink/tc.js';
import { survivors } from '../../helpers/bpf-objects.js';
import { serialWith } from '../../helpers/kernel-age.js';
import { within } from '../../helpers/tap-guest.js';
import { host, Site } from '../datapath/site.js';
import { Flows } from './flows.js';
import { attached, isEmpty, masterOf, numbersOf, pinsOf } from './kernel-side.js';

for (const attach of ['tcx', 'clsact'] as const) {
	serialWith(attach)(`${attach}: from another version to this one under traffic`, async t => {
		const site = await Site.create(`upgrade-${attach}`, {
			up: ['--offload', 'tc-bpf'],
			sharesMounts: attach === 'tcx',
		});
		t.teardown(() => site.close());
		const flows = await Flows.between(site);
		t.teardown(() => flows.close());
		const { slaves } = await site.product.list();
		const devices = numbersOf(site);
		await site.product.signalDaemon('SIGKILL');

		const other = new OtherVersion(t);
		other.know(site, slaves);
		other.takeThePlace(site, attach, slaves);
		other.close();
		const theirs = await attached(site);
		await flows.runWhile(30);
		flows.verify(t, 'the other version, without its daemon');
		flows.verifyResolution(t, 'the other version');

		await flows.runWhile(30, site.product.daemon());
		flows.verify(t, 'with a daemon of this version');
		flows.verifyResolution(t, 'this version');
		t.deepEqual(numbersOf(site), devices);
		await until('the other version to be gone', 20_000, () => isEmpty(survivors(theirs)));
		await site.product.json('down', 'eth0', '--force');
		await site.product.end();
		await site.product.assertNothingLeft();
	});
}

type Slaves = Awaited<ReturnType<Site['product']['list']>>['slaves'];

/** The source of this version with eight bytes more at the head of each structure that is looked up. */
class OtherVersion {
	readonly #object: BpfObject;

	constructor(t: ExecutionContext) {
		const folder = mkdtempSync(join(tmpdir(), 'ipvtap-other-'));
		t.teardown(() => rmSync(folder, { recursive: true }));
		cpSync(fileURLToPath(new URL('../../../../bpf/', import.meta.url)), folder, { recursive: true });
		const header = join(folder, 'port.h');
		const source = readFileSync(header, 'utf8');
		const changed = source.replace(/^struct (owner|sender|port) \{$/gm, '$&\n\t__u64 other_version;');
		t.is(changed.length - source.length, 3 * '\n\t__u64 other_version;'.length);
		writeFileSync(header, changed);
		execFileSync(join(folder, 'build.sh'), { stdio: ['ignore', 'ignore', 'inherit'] });
		this.#object = new BpfObject(join(folder, 'ipvtap.bpf.o'));
		for (const name of ['from_slave', 'from_wire', 'from_host']) this.#object.leaveOut(`${name}_probing`);
		this.#object.load();
	}

	/** Everybody, by numbers of its own. */
	know(site: Site, slaves: Slaves): void {
		const { mac } = host;
		const link = (name: string) => within(site.host, () => requireLink(name).ifindex);
		const master = masterOf(site);
		const edge = link('ipvp-eth0');
		const port = {
			master,
			host: edge,
			punt: 0,
			mtu: 1500,
			flag: 'bridge',
			slaves: slaves.length,
			mac,
			nominated: false,
			seats: 0,
		} as const;
		this.#set('port', indexBytes(0), portBytes(port));
		this.#party(EDGE_HOST, edge, mac, [host.ipv4, host.ipv6]);
		for (const [index, { ifindex, mac, addresses }] of [...slaves].reverse().entries()) {
			this.#party(
				EDGE_HOST + 1 + index,
				ifindex,
				mac,
				addresses.map(({ address }) => address),
			);
		}
	}

	takeThePlace(site: Site, attach: 'tcx' | 'clsact', slaves: Slaves): void {
		const master = masterOf(site);
		const peer = within(site.host, () => requireLink('ipvp-eth0').ifindex);
		const places: [number, ProgramName][] = [
			...slaves.map(({ ifindex }) => [ifindex, 'from_slave'] as [number, ProgramName]),
			[master, 'from_wire'],
			[peer, 'from_host'],
		];
		for (const [ifindex, name] of places) {
			const program = this.#object.program(name);
			if (attach === 'tcx') {
				const link = pinsOf(site).get(`${ifindex}-${name}`) as number;
				swapProgram(link, program);
				closeFd(link);
			} else {
				const filter = { priority: 0x4975, handle: 1, program, name: `ipvtap/${master}/${name}` };
				within(site.host, () => replaceBpfFilter(ifindex, 'ingress', filter));
			}
		}
	}

	close(): void {
		this.#object.close();
	}

	#party(edge: number, ifindex: number, mac: string, addresses: readonly string[]): void {
		this.#set('senders', indexBytes(ifindex), senderBytes({ edge, mac, learns: false }));
		for (const address of addresses) {
			const { map, key } = addressBytes(address);
			this.#set(map, key, ownerBytes({ edge, ifindex, mac }));
		}
	}

	#set(map: MapName, key: Uint8Array, value: Uint8Array): void {
		const { key: keyBytes, value: valueBytes } = mapShapes[map];
		this.#object.map(map, keyBytes, valueBytes + 8).set(key, Buffer.concat([Buffer.alloc(8), value]));
	}
}
