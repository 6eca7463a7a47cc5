/** `/metrics` in Prometheus' text format 0.0.4. Pure. */
import type { Listing, SlaveStats } from '../model.js';

export const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

/** Slaves' counters as their guests see them: what a guest received is `receive`. */
export function metrics({ masters, slaves }: Listing): string {
	const ports = masters.map(({ name, stats, state }) => ({
		labels: { master: name },
		stats,
		up: state === 'up',
	}));
	const guests = slaves.map(({ name, master, stats, state }) => ({
		labels: { slave: name, master },
		stats,
		up: state === 'up',
	}));
	return [
		...family(
			'ipvtap_master_slaves',
			'gauge',
			'Slaves on this master.',
			masters.map(({ name, slaves: count }) => sample({ master: name }, count)),
		),
		...section('ipvtap_master', 'master', ports),
		...section('ipvtap_slave', 'slave', guests),
		...family(
			'ipvtap_slave_addresses',
			'gauge',
			'Addresses of this slave, by origin.',
			slaves.flatMap(({ name, master, addresses }) =>
				Object.entries(countBy(addresses.map(({ origin }) => origin))).map(([origin, count]) =>
					sample({ slave: name, master, origin }, count),
				),
			),
		),
		'',
	].join('\n');
}

interface Subject {
	labels: Record<string, string>;
	stats: SlaveStats;
	up: boolean;
}

function section(prefix: string, what: string, subjects: Subject[]): string[] {
	const counter = (name: string, help: string, value: (stats: SlaveStats) => number) =>
		family(
			`${prefix}_${name}`,
			'counter',
			help,
			subjects.map(({ labels, stats }) => sample(labels, value(stats))),
		);
	return [
		...family(
			`${prefix}_up`,
			'gauge',
			`1 if the ${what} has a carrier.`,
			subjects.map(({ labels, up }) => sample(labels, up ? 1 : 0)),
		),
		...counter('receive_packets_total', `Frames that reached the ${what}.`, stats => stats.rx.packets),
		...counter('receive_bytes_total', `Bytes that reached the ${what}.`, stats => stats.rx.bytes),
		...counter('transmit_packets_total', `Frames that the ${what} sent.`, stats => stats.tx.packets),
		...counter('transmit_bytes_total', `Bytes that the ${what} sent.`, stats => stats.tx.bytes),
		...family(
			`${prefix}_drops_total`,
			'counter',
			'Frames dropped, by reason.',
			subjects.flatMap(({ labels, stats }) =>
				Object.entries(stats.drops).map(([reason, count]) => sample({ ...labels, reason }, count)),
			),
		),
		...family(
			`${prefix}_queued_frames`,
			'gauge',
			"Frames waiting in the slow path's backlog.",
			subjects.map(({ labels, stats }) => sample(labels, stats.queued)),
		),
	];
}

type Sample = (name: string) => string;

function sample(labels: Record<string, string>, value: number): Sample {
	const inner = Object.entries(labels)
		.map(([label, text]) => `${label}="${escaped(text)}"`)
		.join(',');
	return name => `${name}{${inner}} ${value}`;
}

/** Nothing at all for a family without samples. */
function family(name: string, type: 'counter' | 'gauge', help: string, samples: Sample[]): string[] {
	if (samples.length === 0) return [];
	return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map(write => write(name))];
}

function escaped(text: string): string {
	return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function countBy(words: string[]): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
	return counts;
}
