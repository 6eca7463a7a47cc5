/** `ipvtap daemon`: the daemon in the foreground, or, with an IPC channel, for the command that started it. */
import { spawn } from 'node:child_process';
import { readConfig } from '../../config.js';
import type { StartReport } from '../../control/autostart.js';
import { crash, Daemon } from '../../control/daemon.js';
import { DaemonBusy } from '../../control/lock.js';
import { serviceUnit } from '../../control/service-unit.js';
import { asIpvtapError } from '../../errors.js';
import { createLog } from '../../log.js';
import { endProcess } from '../../sys/process.js';
import { print } from '../output.js';

export async function daemon({
	json = false,
	untilIdle = false,
	printUnit = false,
}: {
	json?: boolean;
	untilIdle?: boolean;
	printUnit?: boolean;
}): Promise<void> {
	const config = readConfig();
	if (printUnit) {
		const { socket, stateDir } = config;
		const unit = serviceUnit({ node: process.execPath, entry: process.argv[1] as string, socket, stateDir });
		print(json, { unit }, unit.trimEnd());
		return;
	}
	const log = createLog();
	process.on('uncaughtException', error => crash(log, error));
	process.on('unhandledRejection', error => crash(log, error));
	// A signal that comes while it starts is served when it has started: half a daemon can't be taken down.
	const signalled = firstSignal();
	const started = await start(config, log, untilIdle);
	void signalled.then(signal => started.end(signal));
	const info = started.info();
	log.info({ pid: info.pid, socket: info.socket, stateDir: info.stateDir, version: info.version }, 'ready');
	report({ ready: true });
	notifyServiceManager();
	if (json) print(true, info, '');
	await started.ended;
	log.info('ended');
	// A frame thread that doesn't stop must not keep a daemon alive that has given everything back.
	endProcess(0);
}

async function start(
	config: ReturnType<typeof readConfig>,
	log: ReturnType<typeof createLog>,
	untilIdle: boolean,
): Promise<Daemon> {
	try {
		return await Daemon.start({ config, log, untilIdle });
	} catch (thrown) {
		const { code, message, hint } = asIpvtapError(thrown);
		report({
			error: { code, message, ...(hint === undefined ? {} : { hint }) },
			wait: thrown instanceof DaemonBusy && thrown.worthWaiting,
		});
		throw thrown;
	}
}

function firstSignal(): Promise<string> {
	return new Promise(resolve => {
		for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => resolve(signal));
	});
}

/** Tells systemd, if it started us and waits for that (sd_notify(3)). */
function notifyServiceManager(): void {
	if (process.env.NOTIFY_SOCKET)
		spawn('systemd-notify', ['--ready'], { stdio: 'ignore' }).on('error', () => {});
}

/** To the command that started us, if one did and still listens. */
function report(message: StartReport): void {
	if (!process.connected) return;
	process.send?.(message, undefined, undefined, () => {
		if (process.connected) process.disconnect();
	});
}
