/**
 * Entry of `ipvtap`, `ipvtapd` and `ipvtap-helper`. What each command needs is loaded when it runs, so that
 * `--version`, completion and hooks start quickly.
 */
import { CommanderError } from 'commander';
import { asIpvtapError, exitStatus } from '../errors.js';
import { reportError, wantsJson } from './output.js';
import { makeProgram } from './program.js';
import { asUsageError } from './usage.js';

const argv = process.argv.slice(2);

// A reader that has seen enough (`ipvtap list | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code === 'EPIPE') process.exit();
	throw error;
});

process.exitCode = await main();

async function main(): Promise<number> {
	// QEMU calls the helper with a protocol of its own; the launcher bin/ipvtap-helper says which one it is.
	if (argv[0] === 'helper') {
		const { helper } = await import('./commands/helper.js');
		return helper(argv.slice(1));
	}
	let status = 0;
	const program = makeProgram(result => {
		status = result;
	});
	try {
		await program.parseAsync(argv, { from: 'user' });
		return status;
	} catch (thrown) {
		if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
		const error = thrown instanceof CommanderError ? asUsageError(thrown) : asIpvtapError(thrown);
		reportError(error, wantsJson(argv));
		return exitStatus[error.code];
	}
}
