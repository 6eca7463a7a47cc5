/** Options and arguments that commands share, checked before any daemon is asked or started. */
import { resolve } from 'node:path';
import { Argument, InvalidArgumentError, Option } from 'commander';
import { flags, modes, type Permission, permissions } from '../control/model.js';
import { frameTypes } from '../control/trace/words.js';

export const json = (): Option => new Option('--json', 'one JSON document on stdout');
export const mode = (): Option => new Option('--mode <mode>', 'how frames are forwarded').choices([...modes]);
export const flag = (): Option => new Option('--flag <flag>', 'who reaches whom').choices([...flags]);
export const multicastSlave = (): Option =>
	new Option('--multicast-slave <name>', 'the one slave that gets multicast in l3 and l3s');
export const offload = (): Option =>
	new Option(
		'--offload <how>',
		'auto, none, tc-bpf, tc-flower, or the path of a module that keeps frames from us',
	).argParser((how: string) => (how.includes('/') ? resolve(how) : how));
export const learn = (): Option =>
	new Option(
		'--learn <on|off>',
		'may the guest claim addresses by using them (default: off once --ip is given)',
	).choices(['on', 'off']);
export const allow = (): Option =>
	new Option(
		'--allow <what>',
		`let the guest speak as ${permissions.join(' or ')}; with a comma between, or again, for more`,
	).argParser(permissionList);
export const allowed = (): Option =>
	new Option(
		'--allow <what>',
		`all that the guest may speak as: ${permissions.join(', ')}, or none; with a comma between, or again, for more`,
	).argParser((text: string, before: Permission[] = []) =>
		text === 'none' ? [] : permissionList(text, before),
	);
export const mac = (): Option =>
	new Option('--mac <mac>', "the guest's MAC (default: derived from the names)");
export const queues = (): Option =>
	new Option('--queues <n>', 'queue pairs of the TAP').argParser(wholeNumber(1, 256));
export const backlog = (): Option =>
	new Option('--backlog <frames>', 'what the slow path holds before it drops (default: 1000)').argParser(
		wholeNumber(1, 1_000_000),
	);
export const ageing = (): Option =>
	new Option(
		'--ageing <seconds>',
		'how long a learned address is believed in without a sign of its guest (default: 300)',
	).argParser(wholeNumber(1, 86_400));
export const domain = (what: string): Option => new Option('--domain <domain>', what).conflicts('qmp');
export const ip = (): Option =>
	new Option('--ip <address>', 'a static address of the guest; again for more').argParser(collect);

export const limit = (): Option =>
	new Option(
		'--limit <key=value>',
		'tx or rx=100mbit[/burst], slow=<frames a second>, learn=<addresses a minute>; none lifts it; again for more',
	).argParser(collect);

export const frameType = (): Option =>
	new Option('--type <type>', 'a frame that is more than an IP packet').choices([...frameTypes]);
export const port = (flag: string, end: string): Option =>
	new Option(`${flag} <port>`, `${end} port of udp and tcp`).argParser(wholeNumber(0, 65_535));
export const ttl = (): Option =>
	new Option('--ttl <n>', 'TTL or hop limit (default: 64)').argParser(wholeNumber(0, 255));

export const benchOnly = (): Option =>
	new Option(
		'--only <part>',
		'the decision alone, frames of the network alone, or their instructions, counted by an emulator',
	).choices(['micro', 'network', 'instructions']);

export const slaveName = (): Argument => new Argument('<name>', "the slave's name");
export const masterName = (): Argument => new Argument('<master>', 'the interface that leads to the LAN');
export const anyName = (): Argument => new Argument('<name>', "a slave's or a master's name");

/** A repeated option adds up. */
export function collect(value: string, before: string[] = []): string[] {
	return [...before, value];
}

function permissionList(text: string, before: Permission[] = []): Permission[] {
	const known: readonly string[] = permissions;
	const words = text.split(',');
	const unknown = words.find(word => !known.includes(word));
	if (unknown !== undefined) throw new InvalidArgumentError(`Allowed choices are ${permissions.join(', ')}.`);
	return [...new Set([...before, ...(words as Permission[])])];
}

function wholeNumber(min: number, max: number): (text: string) => number {
	return text => {
		const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
		if (value >= min && value <= max) return value;
		throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
	};
}
