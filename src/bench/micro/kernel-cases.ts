/**
 * The frames that the eBPF programs are measured with. A program is run over a frame again and again, as it was left the
 * time before: so that this is the same frame, everybody on the port has the master's MAC.
 */
import type { ProgramName } from '../../offload/tc-bpf/kernel-object.js';
import { arp, ethernet, ip, type Packet, solicitation, udp } from '../../wire/compose.js';

export interface KernelCase {
	name: string;
	program: ProgramName;
	/** What the program has to return: a TC_ACT_*. */
	result: number;
	frame: Uint8Array;
	/** It turns the frame into another one, which must not be run over again. */
	once?: boolean;
}

export const MAC = '02:00:00:00:ff:01';
/** Of guest 0, which sends, guest 1, and the host. */
export const addresses = {
	guest0: ['10.1.0.1', 'fd00::1'],
	guest1: ['10.1.0.2', 'fd00::2'],
	host: ['10.1.0.3', 'fd00::3'],
} as const;

const GATEWAY = '02:00:00:00:ff:02';
const far = ['192.0.2.1', '2001:db8::1'] as const;
const families = ['IPv4', 'IPv6'] as const;
/** linux/pkt_cls.h */
const SHOT = 2;
const REDIRECT = 7;

const { guest0, guest1, host } = addresses;

export const kernelCases: readonly KernelCase[] = [
	...families.flatMap((family, f) => {
		const one = (name: string, program: ProgramName, from: string, to: string): KernelCase => ({
			name: `${name}, ${family}`,
			program,
			result: REDIRECT,
			frame: frame(program === 'from_wire' ? GATEWAY : MAC, datagram(from, to), to === far[f]),
		});
		return [
			one('guest to guest', 'from_slave', guest0[f]!, guest1[f]!),
			one('guest to wire', 'from_slave', guest0[f]!, far[f]!),
			one('wire to guest', 'from_wire', far[f]!, guest1[f]!),
			one('guest to host', 'from_slave', guest0[f]!, host[f]!),
			one('host to guest', 'from_host', host[f]!, guest1[f]!),
			{
				...one(`forged ${family} source, dropped`, 'from_slave', far[f]!, guest1[f]!),
				name: `forged ${family} source, dropped`,
				result: SHOT,
			},
		];
	}),
	{
		name: 'ARP request for another guest',
		program: 'from_slave',
		result: REDIRECT,
		frame: frame(MAC, question(guest1[0])),
	},
	{
		name: 'ARP request for the host, answered',
		program: 'from_slave',
		result: REDIRECT,
		frame: frame(MAC, question(host[0])),
		once: true,
	},
	{
		name: 'neighbour solicitation for another guest',
		program: 'from_slave',
		result: REDIRECT,
		frame: frame(
			MAC,
			ip({ source: guest0[1], destination: 'ff02::1:ff00:2', ttl: 255 }, solicitation(guest1[1])),
		),
	},
];

function datagram(source: string, destination: string): Packet {
	return ip({ source, destination }, udp(40_000, 9));
}

function question(target: string): Packet {
	return arp({ operation: 1, senderMac: MAC, sender: guest0[0], target });
}

/** With the 60 bytes that Ethernet wants at least. */
function frame(source: string, packet: Packet, outwards = false): Uint8Array {
	const bytes = ethernet({ source, destination: outwards ? GATEWAY : MAC }, packet);
	const whole = new Uint8Array(Math.max(60, bytes.length));
	whole.set(bytes);
	return whole;
}
