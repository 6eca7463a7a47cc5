import { askKernel } from './machine.js';
import { probes } from './probes.js';
import { inquiries } from './questions.js';
import { type Report, report } from './report.js';
import { table } from './table.js';

export interface Consultation extends Report {
	/** As `uname -r` gives it. */
	kernel: string;
	/** What docs/modes.md ought to have. */
	table: string;
	/** Milliseconds by the name of a configuration. */
	took: Readonly<Record<string, number>>;
}

/** Puts all cases to the real kernel and compares. @throws IpvtapError where it can't be booted. */
export async function consult(): Promise<Consultation> {
	const all = inquiries();
	const { kernel, observations, took } = await askKernel({
		configurations: all.map(({ configuration }) => configuration),
		probes: probes(all.flatMap(({ asked }) => asked.map(({ one }) => one.frame))),
	});
	const found = report(
		all.flatMap(({ asked }, kind) =>
			asked.map((question, index) => {
				const observation = observations[kind]?.[index];
				if (observation === undefined) throw new Error(`the kernel was not asked: ${question.one.name}`);
				return { question, observation };
			}),
		),
	);
	const names = all.map(({ configuration }, index) => [configuration.name, took[index] ?? 0]);
	return { ...found, kernel, table: table(kernel, found.all), took: Object.fromEntries(names) };
}
