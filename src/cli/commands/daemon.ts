/** `ipvtap daemon`: the daemon in the foreground, or, with an IPC channel, for the command that started it. */
import { readConfig } from '../../config.js';
import type { StartReport } from '../../control/autostart.js';
import { crash, Daemon } from '../../control/daemon.js';
import { DaemonBusy } from '../../control/lock.js';
import { asIpvtapError } from '../../errors.js';
import { createLog } from '../../log.js';
import { print } from '../output.js';

export async function daemon({
	json = false,
	untilIdle = false,
}: {
	json?: boolean;
	untilIdle?: boolean;
}): Promise<void> {
	const config = readConfig();
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
	if (json) print(true, info, '');
	await started.ended;
	log.info('ended');
	// A frame thread that doesn't stop must not keep a daemon alive that has given everything back.
	process.exit();
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

/** To the command that started us, if one did and still listens. */
function report(message: StartReport): void {
	if (!process.connected) return;
	process.send?.(message, undefined, undefined, () => {
		if (process.connected) process.disconnect();
	});
}
