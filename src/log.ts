/**
 * The daemon's log, on stderr: a line for people on a terminal, JSON for journald, files and collectors. The
 * only file that knows pino. `IPVTAP_LOG` sets the level (trace, debug, info, warn, error, fatal, silent).
 */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { type Logger, levels, pino } from 'pino';
import { IpvtapError } from './errors.js';

export type { Logger } from 'pino';

/** @throws IpvtapError `usage` if IPVTAP_LOG isn't a level. */
export function createLog(env: NodeJS.ProcessEnv = process.env): Logger {
	const level = env.IPVTAP_LOG || 'info';
	if (level !== 'silent' && !Object.hasOwn(levels.values, level)) {
		throw new IpvtapError('usage', `IPVTAP_LOG: '${level}' is not a level`, {
			hint: `choose one of ${Object.keys(levels.values).join(', ')}, silent`,
		});
	}
	const options = {
		level,
		base: null,
		timestamp: pino.stdTimeFunctions.isoTime,
		formatters: { level: (label: string) => ({ level: label }) },
	};
	if (!isatty(stderrFd)) {
		const destination = pino.destination({ fd: stderrFd, sync: true, maxLength: keptBytes });
		// The disk is full, say: what can't be written waits for the next line, and nobody ends because of it.
		destination.on('error', () => undefined);
		return pino(options, destination);
	}
	const colour = !env.NO_COLOR && env.TERM !== 'dumb';
	return pino(options, { write: (line: string) => tryToWrite(pretty(line, colour)) });
}

/** `12:00:01.250 INFO  slave attached  name=vm1 master=eth0`, from one of pino's JSON lines. */
export function pretty(line: string, colour: boolean): string {
	const { level, time, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
	const name = String(level).toUpperCase().padEnd(5);
	const shown = colour ? `\x1b[${colours[String(level)] ?? 0}m${name}\x1b[0m` : name;
	const fields = Object.entries(rest).map(([key, value]) => `${key}=${plain(value)}`);
	const stack = err !== null && typeof err === 'object' && 'stack' in err ? `\n${err.stack}` : '';
	return `${[String(time).slice(11, 23), shown, msg, ...(fields.length > 0 ? ['', ...fields] : [])].join(' ')}${stack}\n`;
}

/** A terminal that was closed takes nothing more, and a daemon that ends because of that has something to say. */
function tryToWrite(text: string): void {
	try {
		writeSync(stderrFd, text);
	} catch {
		// There is nobody to tell.
	}
}

function plain(value: unknown): string {
	return typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
}

const stderrFd = 2;
/** What waits to be written, at the most; lines beyond it are lost. */
const keptBytes = 1 << 20;
const colours: Record<string, number> = { trace: 90, debug: 90, info: 32, warn: 33, error: 31, fatal: 31 };
