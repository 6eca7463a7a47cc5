/**
 * A port without a daemon for an offload hook to work on: the standard port of the decision table (helpers/world.ts),
 * with TAPs for the guests and for the host slave, a veth pair as the wire, and the punt device. All of it is in the
 * namespace of this process, which has to be its own.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModeName } from '../../src/datapath/port-state.js';
import { EDGE_HOST, EDGE_WIRE } from '../../src/datapath/verdict.js';
import type { OffloadedPort, PortPolicy, SlavePolicy, XmitOffload } from '../../src/offload/offload.js';
import { createVeth, deleteLink, requireLink, setLink } from '../../src/sys/netlink/link.js';
import { deleteClsact, ensureClsact } from '../../src/sys/netlink/tc.js';
import { createTap, openTap, setOffload, setSendBuffer } from '../../src/sys/tap.js';
import type { Case } from '../cases/case.js';
import { advertiseToAll, multicast4, packet6 } from '../cases/traffic.js';
import { raw, targetLinkLayer } from '../helpers/frames.js';
import { openPacketSocket } from '../helpers/packet-socket.js';
import { FrameEnd, guestOffloads } from '../helpers/tap-guest.js';
import { gateway, host as hostStation, MASTER, slaves, standardTopology, vm1 } from '../helpers/world.js';

/** Somewhere that a frame can come out. */
export type Outlet = number | 'punt';

export class OffloadBench {
	readonly hook: XmitOffload;
	port!: OffloadedPort;
	/** What the hook wants its user to know. */
	readonly warnings: string[] = [];
	readonly #folder = mkdtempSync(join(tmpdir(), 'ipvtap-compliance-'));
	readonly #ends = new Map<Outlet, FrameEnd>();
	readonly #devices = new Map<number, number>();
	readonly #clsacts = new Set<number>();
	readonly #mode: ModeName;
	#policy!: PortPolicy;

	constructor(hook: XmitOffload, mode: ModeName = 'l2') {
		this.hook = hook;
		this.#mode = mode;
	}

	get stateDir(): string {
		return this.#folder;
	}

	/** As the hook knows the port. */
	get policy(): PortPolicy {
		return this.#policy;
	}

	/** Who owns what at first. */
	readonly addresses = standardTopology().addresses;

	/** Makes the devices, and the hook's port with everything that the table's port has. */
	async open(): Promise<void> {
		createVeth({ name: 'wire0', peer: 'far0', mac: MASTER, mtu: 1500 });
		for (const name of ['far0', 'wire0']) setLink(name, { addrGenModeNone: true, noarp: true, up: true });
		this.#devices.set(EDGE_WIRE, requireLink('wire0').ifindex);
		this.#ends.set(EDGE_WIRE, new FrameEnd(openPacketSocket(requireLink('far0').ifindex)));
		this.#tap(EDGE_HOST, 'host0');
		for (const { edge, name } of slaves) this.#tap(edge, name);
		createTap('punt0', { owner: undefined, queues: 1, vnetHeader: true });
		setLink('punt0', { addrGenModeNone: true, noarp: true, mtu: 65521, up: true });
		const punt = requireLink('punt0').ifindex;
		this.#ends.set('punt', new FrameEnd(openPacketSocket(punt)));
		this.port = await this.hook.open({
			mode: this.#mode,
			master: this.device(EDGE_WIRE),
			stateDir: this.#folder,
			ensureClsact: ifindex => {
				if (ensureClsact(ifindex)) this.#clsacts.add(ifindex);
			},
			warn: text => this.warnings.push(text),
		});
		const host = this.device(EDGE_HOST);
		const master = { ifindex: this.device(EDGE_WIRE), mac: MASTER, mtu: 1500 };
		this.#policy = { master, host, flag: 'bridge', nominated: false, punt: this.port.punts ? punt : 0 };
		await this.port.setPort(this.#policy);
		for (const { edge } of slaves) {
			await this.port.addSlave(this.slave(edge));
			await this.port.setGroups?.(edge, { inet: 'all', inet6: 'all', exact: false });
		}
		for (const { address, edge } of this.addresses) await this.port.addAddress(address, edge);
		if (this.#mode === 'l3') await this.#addRoutes();
		await this.port.settle();
	}

	/** Makes the port's rules those of a case. */
	async setPolicy({ flag = 'bridge', multicastSlave }: Pick<Case, 'flag' | 'multicastSlave'>): Promise<void> {
		const nominated = multicastSlave !== undefined;
		if (flag === this.#policy.flag && nominated === this.#policy.nominated) return;
		this.#policy = { ...this.#policy, flag, nominated };
		await this.port.setPort(this.#policy);
	}

	slave(edge: number): SlavePolicy {
		const { mac, learns } = slaves.find(slave => slave.edge === edge)!;
		return { edge, ifindex: this.device(edge), mac, learn: learns };
	}

	device(edge: number): number {
		return this.#devices.get(edge)!;
	}

	/**
	 * Sends a frame into an edge's device, as its guest or the wire would, and gives back all that came out anywhere.
	 * @param first sent before it by somebody whose frames no marker can follow.
	 */
	send(
		edge: number,
		frame: Uint8Array,
		first?: { edge: number; frame: Uint8Array },
	): { taken: boolean; out: { at: Outlet; frame: Buffer }[] } {
		for (const end of this.#ends.values()) end.drain();
		if (first) this.#ends.get(first.edge)!.trySend(first.frame);
		const taken = this.#ends.get(edge)!.trySend(frame) === 'sent';
		this.#passBehind(edge);
		const out = [...this.#ends].flatMap(([at, end]) =>
			end.drain().flatMap(({ frame: seen }) => (seen.includes(MARK) ? [] : [{ at, frame: seen }])),
		);
		return { taken, out };
	}

	/** As `send`, from a slave whose frames nobody takes any more: only what crosses no queue can be seen. */
	sendAlone(edge: number, frame: Uint8Array): { out: { at: Outlet; frame: Buffer }[] } {
		for (const end of this.#ends.values()) end.drain();
		this.#ends.get(edge)!.trySend(frame);
		return {
			out: [...this.#ends].flatMap(([at, end]) =>
				end.drain().map(({ frame: seen }) => ({ at, frame: seen })),
			),
		};
	}

	/** @param attached whether the hook is still to be detached. */
	async close(attached = true): Promise<void> {
		if (attached) await this.port.detach();
		for (const ifindex of this.#clsacts) deleteClsact(ifindex);
		for (const end of this.#ends.values()) end.close();
		for (const name of ['wire0', 'punt0', 'host0', ...slaves.map(({ name }) => name)]) deleteLink(name);
		rmSync(this.#folder, { recursive: true });
	}

	/**
	 * What crosses a queue of the kernel's does so in order, so a frame that surely takes the longest way, to the punt
	 * device, ends the wait. A hook that doesn't punt has no such way, nor such a queue.
	 */
	#passBehind(edge: number): void {
		const last = this.#last(edge);
		if (!this.port.punts || last === undefined) return;
		this.#ends.get(edge)!.send(last);
		const punt = this.#ends.get('punt')!;
		punt.putBack(punt.receiveUntil(({ frame }) => frame.includes(MARK)));
	}

	/** What nobody but the forwarder can deal with, whatever the mode; undefined where there is no such frame. */
	#last(edge: number): Uint8Array | undefined {
		const { mac } = edge === EDGE_HOST ? hostStation : (slaves.find(slave => slave.edge === edge) ?? gateway);
		// A stranger on the LAN says that he has a guest's address.
		if (edge === EDGE_WIRE)
			return advertiseToAll(gateway, vm1.ipv6, {}, [targetLinkLayer(mac), { type: 200, data: MARK }]);
		// Any guest may claim any link-local address.
		if (edge !== EDGE_HOST)
			return packet6({ ...gateway, mac, ipv6: 'fe80::1a57' }, gateway, {}, raw(EXPERIMENT, MARK));
		// In l3 and l3s nothing of the host's waits for anybody, unless groups go to whom it has named.
		if (this.#mode !== 'l2' && !this.#policy.nominated) return undefined;
		return multicast4(hostStation, '224.0.0.22', {}, raw(2, MARK));
	}

	/** The hook is told of all routes and neighbours, and the kernel of the neighbours. */
	async #addRoutes(): Promise<void> {
		const { routes = [], neighbours = [] } = standardTopology();
		await this.port.setRoutes?.(routes, []);
		for (const { address, mac } of neighbours) {
			const words = ['neighbour', 'replace', address, 'lladdr', mac, 'nud', 'permanent', 'dev', 'wire0'];
			execFileSync('ip', words);
			await this.port.setNeighbour?.(address, mac);
		}
	}

	#tap(edge: number, name: string): void {
		createTap(name, { owner: undefined, queues: 1, vnetHeader: true });
		setLink(name, { addrGenModeNone: true, noarp: true, up: true });
		this.#devices.set(edge, requireLink(name).ifindex);
		const fd = openTap(name);
		setOffload(fd, guestOffloads);
		setSendBuffer(fd, 0x7fffffff);
		this.#ends.set(edge, new FrameEnd(fd));
	}
}

/** RFC 3692: for experiments. */
const EXPERIMENT = 253;
const MARK = Buffer.from('behind all others');
