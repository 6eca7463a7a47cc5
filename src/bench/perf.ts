/** Instructions, counted by perf(1) on all CPUs, where the machine has the counters: they repeat within 1 %. */
import { run } from '../lab/command.js';

const EVENTS = ['instructions:u', 'instructions:k'];

let available: Promise<boolean> | undefined;

/** Words in front of a command whose instructions are to be counted; none where nothing can count them. */
export async function perfWords(output: string): Promise<string[]> {
	available ??= probe();
	return (await available) ? ['perf', 'stat', '-x,', '-a', '-e', EVENTS.join(','), '-o', output, '--'] : [];
}

export function instructionsAvailable(): Promise<boolean> {
	available ??= probe();
	return available;
}

/** Reads `perf stat -x,`: value, unit, event, … on each line. */
export function countersIn(text: string): { user: number; kernel: number } | undefined {
	const value = (event: string): number =>
		Number(
			text
				.split('\n')
				.map(line => line.split(','))
				.find(fields => fields[2] === event)?.[0],
		);
	const [user, kernel] = EVENTS.map(value) as [number, number];
	return Number.isFinite(user + kernel) ? { user, kernel } : undefined;
}

async function probe(): Promise<boolean> {
	const { rc, err } = await run('perf', ['stat', '-x,', '-e', EVENTS.join(','), 'true']).catch(() => ({
		rc: 1,
		err: '',
	}));
	return rc === 0 && countersIn(err) !== undefined;
}
