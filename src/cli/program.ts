/**
 * The command tree: names, options and help, as docs/cli.md has them. Actions load their command when they run.
 * Help begins with examples, since that is what people look for.
 */
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../config.js';
import { asIpvtapError, exitStatus } from '../errors.js';
import * as option from './options.js';
import { reportError, wantsJson } from './output.js';
import { asUsageError, type CommandComplaint } from './usage.js';

/** Runs the command that the arguments name, and reports what goes wrong. @returns the exit status. */
export async function runProgram(argv: readonly string[]): Promise<number> {
	let status = 0;
	const program = makeProgram(result => {
		status = result;
	});
	try {
		await program.parseAsync(argv, { from: 'user' });
		return status;
	} catch (thrown) {
		// Help and version end that way too.
		if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
		const error = thrown instanceof CommanderError ? asUsageError(thrown) : asIpvtapError(thrown);
		reportError(error, wantsJson(argv));
		return exitStatus[error.code];
	}
}

/** @param finish told the exit status of a command that has one of its own. */
function makeProgram(finish: (status: number) => void): Command {
	const program = new Command('ipvtap')
		.description('KVM guests on your LAN through one NIC and one MAC address')
		.version(packageVersion(), '-V, --version')
		.addOption(option.json())
		.enablePositionalOptions()
		.configureOutput({ outputError: () => undefined })
		.showSuggestionAfterError(true)
		.helpCommand('help [command]', 'what a command does')
		.addHelpText('before', topExamples);
	complainAs(program, 'ipvtap');

	const command = (name: string, summary: string, examples: string[]): Command => {
		const made = program
			.command(name)
			.summary(summary)
			.description(`${capital(summary)}.`)
			.addOption(option.json());
		made.addHelpText('before', `Examples:\n${examples.map(line => `  ${line}`).join('\n')}\n`);
		complainAs(made, `ipvtap ${name}`);
		return made;
	};

	command('run', 'run QEMU with a NIC on the LAN, and clean up when it ends', [
		'ipvtap run -- qemu-system-x86_64 -accel kvm -m 1G disk.img',
		'ipvtap run --master eth0 --name web1 --ip 192.0.2.10 -- qemu-system-x86_64 -m 1G disk.img',
	])
		.argument('<qemu...>', 'the QEMU command; its network arguments are added')
		.option(
			'--master <interface>',
			"the interface that leads to the LAN (default: the one that is up, or the default route's)",
		)
		.option('--name <name>', "the slave's name (default: QEMU's -name, or the first free vmN)")
		.addOption(option.ip())
		.addOption(option.mac())
		.addOption(option.learn())
		.addOption(option.allow())
		.addOption(option.queues())
		.addOption(option.limit())
		.passThroughOptions()
		.action(async (qemu, _options, self) =>
			finish(await (await import('./commands/run.js')).run(qemu, all(self))),
		);

	command('up', 'bring an interface up as a master', [
		'ipvtap up eth0',
		'ipvtap up wlan0 --flag private --no-host',
	])
		.addArgument(option.masterName())
		.addOption(option.mode())
		.addOption(option.flag())
		.addOption(option.offload())
		.addOption(option.multicastSlave())
		.addOption(option.backlog())
		.addOption(option.ageing())
		.option('--no-host', 'keep the host and its guests apart')
		.action(async (master, _options, self) => (await import('./commands/up.js')).up(master, all(self)));

	command('down', 'take a master down', ['ipvtap down eth0', 'ipvtap down eth0 --force'])
		.addArgument(option.masterName())
		.option('--force', 'detach its slaves first')
		.action(async (master, _options, self) => (await import('./commands/down.js')).down(master, all(self)));

	command('attach', 'make a slave, and print the arguments that give it to a guest', [
		'qemu-system-x86_64 -m 1G disk.img $(ipvtap attach web1 --master eth0 --owner "$USER")',
		'ipvtap attach web1 --master eth0 --ip 192.0.2.10 --format libvirt',
		'ipvtap attach web2 --master eth0 --qmp /run/web2.qmp',
		'ipvtap attach web3 --master eth0 --domain web',
	])
		.addArgument(option.slaveName())
		.requiredOption('--master <interface>', 'the interface that leads to the LAN')
		.addOption(option.ip())
		.addOption(option.mac())
		.addOption(option.learn())
		.addOption(option.allow())
		.addOption(option.queues())
		.addOption(option.limit())
		.option('--owner <user>', 'who may open the TAP (default: you)')
		.option('--format <format>', 'qemu, helper, libvirt, firecracker or cloud-hypervisor', 'qemu')
		.option('--qmp <socket>', 'plug it into the running QEMU that has this QMP socket')
		.option(
			'--rx-filter <socket>',
			'a second QMP socket of its QEMU, kept open, that tells its multicast groups',
		)
		.addOption(option.domain('plug it into this running libvirt domain'))
		.action(async (name, _options, self) => (await import('./commands/attach.js')).attach(name, all(self)));

	command('detach', 'remove a slave', [
		'ipvtap detach web1',
		'ipvtap detach web2 --qmp /run/web2.qmp',
		'ipvtap detach web3 --domain web',
	])
		.addArgument(option.slaveName())
		.option('--qmp <socket>', 'unplug it first from the running QEMU that has this QMP socket')
		.addOption(option.domain('unplug it first from this running libvirt domain'))
		.action(async (name, _options, self) => (await import('./commands/detach.js')).detach(name, all(self)));

	command('set', 'change a slave or a master that is running', [
		'ipvtap set web1 --ip +192.0.2.11 --ip -192.0.2.10',
		'ipvtap set web1 --limit tx=100mbit --limit rx=none',
		'ipvtap set web1 --allow dhcp-server,router',
		'ipvtap set eth0 --flag private',
		'ipvtap set eth0 --mode l3',
	])
		.addArgument(option.anyName())
		.option(
			'--ip <+A|-A|A>',
			'add, remove, or (without a sign) replace static addresses; again for more',
			option.collect,
		)
		.addOption(option.limit())
		.addOption(option.allowed())
		.addOption(option.mode())
		.addOption(option.flag())
		.addOption(option.offload())
		.addOption(option.ageing())
		.addOption(option.multicastSlave())
		.option('--no-multicast-slave', 'nobody gets multicast in l3 and l3s')
		.action(async (name, _options, self) => (await import('./commands/set.js')).set(name, all(self)));

	command('list', 'list masters and slaves', ['ipvtap list', "ipvtap list --json | jq -r '.slaves[].name'"])
		.alias('ls')
		.action(async (_options, self) => (await import('./commands/list.js')).list(all(self)));

	command('show', 'show everything about a slave or a master', [
		'ipvtap show web1',
		'ipvtap show eth0 --json',
	])
		.addArgument(option.anyName())
		.action(async (name, _options, self) => (await import('./commands/show.js')).show(name, all(self)));

	command('stats', 'show counters, and why frames were dropped', ['ipvtap stats', 'ipvtap stats web1'])
		.argument('[name]', "a slave's or a master's name")
		.action(async (name, _options, self) => (await import('./commands/stats.js')).stats(name, all(self)));

	command('trace', 'say what would become of a frame, step by step, and why', [
		'ipvtap trace --from web1 --to 192.0.2.9 --proto udp --dport 53',
		'ipvtap trace --from web1 --to web2 --source 192.0.2.1',
		'ipvtap trace --from wire --to web1 --type arp',
		'tcpdump -c1 -xx -i ipvt-web1 | ipvtap trace --from web1 --frame -',
	])
		.requiredOption('--from <sender>', "a slave's name, wire or host")
		.option('--master <interface>', 'whose wire or host, if there are several masters')
		.option('--to <receiver>', 'an address, a slave, host or broadcast')
		.option('--proto <protocol>', 'udp, tcp, icmp or a number (default: icmp, an echo request)')
		.addOption(option.frameType())
		.addOption(option.port('--sport', 'source'))
		.addOption(option.port('--dport', 'destination'))
		.option('--source <address>', "in place of the sender's first address")
		.option('--mac <mac>', "in place of the sender's MAC")
		.option('--next-hop <mac>', "the destination MAC, in place of the next hop's")
		.addOption(option.ttl())
		.option('--frame <hex>', 'the frame itself; - reads it, or the hex dump of it, from stdin')
		.action(async (_options, self) => (await import('./commands/trace.js')).trace(all(self)));

	command('daemon', 'run the daemon in the foreground (ipvtapd is the same)', [
		'sudo ipvtapd',
		'sudo IPVTAP_SOCKET=/run/lab.sock ipvtap daemon',
	])
		.option('--until-idle', 'end with the last slave, as a daemon does that a command started')
		.option('--print-unit', 'print a systemd unit that runs it, and do nothing else')
		.action(async (_options, self) => (await import('./commands/daemon.js')).daemon(all(self)));

	const libvirt = command('libvirt', 'give libvirt domains their NICs by themselves', [
		'sudo ipvtap libvirt install',
		'ipvtap libvirt status',
	]);
	const libvirtCommand = (name: string, summary: string): Command => {
		const made = libvirt
			.command(name)
			.description(`${capital(summary)}.`)
			.addOption(option.json())
			.option('--root <folder>', 'a folder to take for /, for packagers');
		complainAs(made, `ipvtap libvirt ${name}`);
		return made;
	};
	libvirtCommand('install', 'install the hook that libvirt calls').action(async (_options, self) =>
		(await import('./commands/libvirt.js')).install(all(self)),
	);
	libvirtCommand('uninstall', 'remove it').action(async (_options, self) =>
		(await import('./commands/libvirt.js')).uninstall(all(self)),
	);
	libvirtCommand('status', 'is it there, and is anything in its way').action(async (_options, self) =>
		finish(await (await import('./commands/libvirt.js')).status(all(self))),
	);

	command('demo', 'real guests on a make-believe LAN, in throwaway namespaces', ['sudo ipvtap demo']).action(
		async (_options, self) => finish(await (await import('./commands/demo.js')).demo(all(self))),
	);

	command('bench', 'measure ipvtap beside bridges and others, in throwaway namespaces', [
		'sudo ipvtap bench --quick',
		'sudo ipvtap bench --filter v2v-64 --peers ipvtap,ipvtap-tc-bpf,macvtap',
		'sudo ipvtap bench --report bench.md',
		'sudo ipvtap bench --wire eth0 --to 192.0.2.1 --ip 192.0.2.77 --yes',
	])
		.option('--quick', 'fewer rows, fewer peers: two minutes in place of a quarter of an hour')
		.option('--filter <row>', 'only rows whose name contains this; again for more', option.collect)
		.option('--peers <list>', 'these, with commas between; the bridge is always among them')
		.option('--list', 'say which rows and peers there are')
		.option(
			'--blocks <n>',
			'interleaved blocks; every row runs twice per peer in each (default: 3; quick: 2)',
		)
		.option('--seconds <s>', 'what is measured of a run (default: 0.4)')
		.option('--minutes <m>', 'after these, no new block of a row is begun (default: 14; quick: 2)')
		.addOption(option.benchOnly())
		.option('--out <folder>', 'where raw results are kept (default: bench-results)')
		.option(
			'--report <page.md>',
			'write a report with plots there, or between the marks of a page that has them',
		)
		.option(
			'--from <results.json>',
			'report on raw results instead of measuring; again for more',
			option.collect,
		)
		.option(
			'--wire <interface>',
			"instead: a guest's round trips through this interface of yours, and the host's",
		)
		.option('--to <address>', 'with --wire: whom to ping, at most 200 times a second')
		.option('--ip <address>', "with --wire: the guest's address, one that nobody has")
		.option('--yes', 'with --wire: go ahead')
		.action(async (_options, self) => (await import('./commands/bench.js')).bench(all(self)));

	return program;
}

/** commander's own printing is switched off; what it throws carries the command's name to usage.ts. */
function complainAs(command: Command, name: string): void {
	command.exitOverride((error: CommanderError) => {
		(error as CommandComplaint).command = name;
		throw error;
	});
}

/** A command's options, with `--json` wherever it was given. */
function all<T>(self: Command): T {
	return self.optsWithGlobals() as T;
}

function capital(text: string): string {
	return text.charAt(0).toUpperCase() + text.slice(1);
}

const topExamples = `Examples:
  sudo ipvtap run --master eth0 -- qemu-system-x86_64 -accel kvm -m 1G disk.img
  sudo ipvtap attach web1 --master eth0 --ip 192.0.2.10
  sudo ipvtap list
`;
