/**
 * Entry of `ipvtap`, `ipvtapd` and `ipvtap-helper`. What each command needs is loaded when it runs, so that
 * `--version`, the helper and hooks start quickly.
 */
import { packageVersion } from '../config.js';

const argv = process.argv.slice(2);

// A reader that has seen enough (`ipvtap list | head`) is no error; a full disk is one.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
	if (code === 'EPIPE') process.exit();
	process.stderr.write(`error: can't write what there is to say: ${code}\nhint: look at where it goes\n`);
	process.exit(1);
});
// There is nobody to tell, but the exit status tells all the same.
process.stderr.on('error', () => undefined);

process.exitCode = await main();
// Node may wait for itself for ever at its orderly end (nodejs/node#54918): it is told to go when all has been written.
process.stderr.write('', () => process.stdout.write('', () => process.exit()));

async function main(): Promise<number> {
	// QEMU calls the helper with a protocol of its own; the launcher bin/ipvtap-helper says which one it is.
	if (argv[0] === 'helper') {
		const { helper } = await import('./commands/helper.js');
		return helper(argv.slice(1));
	}
	if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
		process.stdout.write(`${packageVersion()}\n`);
		return 0;
	}
	const { runProgram } = await import('./program.js');
	return runProgram(argv);
}
