/** Who used the CPUs: this benchmark's own processes, the hypervisor, or somebody else. */
import { readdirSync, readFileSync } from 'node:fs';

export interface Usage {
	/** Seconds since boot that any CPU was busy, and that the hypervisor gave to somebody else. */
	busy: number;
	stolen: number;
	/** CPU seconds of the processes asked for, of ksoftirqd, and of this process. */
	processes: number;
	softirq: number;
	self: number;
	/** Wall clock, seconds. */
	at: number;
}

export function usage(pids: readonly number[]): Usage {
	const [user, nice, system, , , irq, soft, steal] = readFileSync('/proc/stat', 'latin1')
		.split('\n', 1)[0]!
		.trim()
		.split(/\s+/)
		.slice(1)
		.map(ticks => Number(ticks) / TICKS_PER_SECOND) as Eight;
	const self = process.cpuUsage();
	return {
		busy: user + nice + system + irq + soft,
		stolen: steal,
		processes: sum(pids.map(cpuSeconds)),
		softirq: sum(softirqPids.map(cpuSeconds)),
		self: (self.user + self.system) / 1e6,
		at: performance.now() / 1000,
	};
}

export interface Spent {
	/** CPU seconds of those who were looked at or said it themselves. */
	own: number;
	/** CPUs' worth of somebody else's work, and of the hypervisor's. */
	foreign: number;
	stolen: number;
}

/** Between two looks. @param cpu seconds of processes that are gone by the second one. */
export function spent(before: Usage, after: Usage, cpu: number): Spent {
	const elapsed = after.at - before.at;
	const own = cpu + after.processes - before.processes + after.softirq - before.softirq;
	return {
		own,
		foreign: Math.max(0, after.busy - before.busy - own - (after.self - before.self)) / elapsed,
		stolen: (after.stolen - before.stolen) / elapsed,
	};
}

/** What the processes hold of memory, MB (10^6 bytes). */
export function residentMb(pids: readonly number[]): number {
	const kib = pids.map(pid =>
		Number(/^VmRSS:\s+(\d+) kB/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0),
	);
	return (sum(kib) * 1024) / 1e6;
}

/** What the kernel holds for eBPF maps that the processes have open, MB (10^6 bytes): locked memory (bpf(2)). */
export function mapsMb(pids: readonly number[]): number {
	const maps = new Map<string, number>();
	for (const pid of pids) {
		for (const fd of list(`/proc/${pid}/fdinfo`)) {
			const text = readOrEmpty(`/proc/${pid}/fdinfo/${fd}`);
			const id = /^map_id:\t(\d+)/m.exec(text)?.[1];
			if (id !== undefined) maps.set(id, Number(/^memlock:\t(\d+)/m.exec(text)?.[1] ?? 0));
		}
	}
	return sum([...maps.values()]) / 1e6;
}

type Eight = [number, number, number, number, number, number, number, number];

/** USER_HZ: fixed in what Linux shows to programs (proc(5)). */
const TICKS_PER_SECOND = 100;

const softirqPids = readdirSync('/proc')
	.filter(name => /^\d+$/.test(name))
	.map(Number)
	.filter(pid => readOrEmpty(`/proc/${pid}/comm`).startsWith('ksoftirqd/'));

/** Run time of all threads, in ns, from the scheduler's own account: ticks of 10 ms would be too coarse. */
function cpuSeconds(pid: number): number {
	let total = 0;
	for (const thread of list(`/proc/${pid}/task`)) {
		total += Number(readOrEmpty(`/proc/${pid}/task/${thread}/schedstat`).split(' ', 1)[0]);
	}
	return total / 1e9;
}

function list(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}

function readOrEmpty(path: string): string {
	try {
		return readFileSync(path, 'latin1');
	} catch {
		return '';
	}
}

function sum(numbers: readonly number[]): number {
	return numbers.reduce((total, one) => total + one, 0);
}
