/** commander's complaints in our own form: `error: …`, then `hint: …`, exit status 2. Pure. */
import type { CommanderError } from 'commander';
import { IpvtapError } from '../errors.js';

/** The command that a complaint is about, as people call it: `ipvtap up`. Set by program.ts. */
export interface CommandComplaint extends CommanderError {
	command?: string;
}

export function asUsageError(error: CommandComplaint): IpvtapError {
	const command = error.command ?? 'ipvtap';
	const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
	const suggestion = /\(Did you mean (?:one of )?(.*)\?\)/.exec(rest.join(' '))?.[1];
	const what = first.charAt(0).toLowerCase() + first.slice(1);
	// `ipvtap` and nothing else: commander has its help shown, and gives that as the message.
	const message = what.startsWith('(outputHelp)')
		? 'no command is given'
		: `${command}: ${what.replace(/\.$/, '')}`;
	const look = `see: ${command} --help`;
	return new IpvtapError('usage', message, {
		hint: suggestion === undefined ? look : `did you mean ${suggestion}? ${look}`,
		cause: error,
	});
}
