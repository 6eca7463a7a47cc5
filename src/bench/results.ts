/** What the kinds of traffic bring, as the raw results have it. */

/** Nanoseconds, to 1.6 %. */
export interface Histogram {
	count: number;
	mean: number;
	p50: number;
	p90: number;
	p99: number;
	p999: number;
	p9999: number;
	max: number;
}

/** What `guest flood` prints. Without `total`: within the measured window. */
export interface FloodResult {
	elapsed: number;
	sent: number;
	received: number;
	bytes: number;
	unsegmented: number;
	totalSent: number;
	totalReceived: number;
	refused: number;
	lost: number;
	reordered: number;
	duplicate: number;
	foreign: number;
	/** Frames with somebody else's source address. */
	forged: number;
	waits: number;
	senderCpuNs: number;
	receiverCpuNs: number;
	cpuNs: number;
	delayNs: Histogram;
}

/** What `guest flood --search` prints: frames/s with 0.5 % loss at most, and what came of twice as many. */
export interface SearchResult {
	elapsed: number;
	rate: number;
	offered: number;
	goodput: number;
	cpuNs: number;
}

/** What `guest rr` prints. */
export interface ResponseResult {
	elapsed: number;
	transactions: number;
	lost: number;
	refused: number;
	waits: number;
	cpuNs: number;
	delayNs: Histogram;
	/** Of two others meanwhile, frames/s: what was wanted, sent, and received. */
	load?: { rate: number; sent: number; received: number };
}

/** What `guest count` prints: of these many frames so many arrived; ticks of the processor's clock for each. */
export interface CountResult {
	frames: number;
	received: number;
	ticks: number;
}

/** What iperf3 says about TCP between two Linux stacks. */
export interface TcpResult {
	elapsed: number;
	bytes: number;
	retransmits: number;
}

/** What `connect` prints: bytes there and back, by TCP each on a connection of its own or all on one, or by UDP. */
export interface ConnectResult {
	elapsed: number;
	transactions: number;
	failed: number;
	cpuNs: number;
	delayNs: Histogram;
}

/** What `fan` prints: broadcasts, and the neighbours' unicast beside them. */
export interface FanResult {
	elapsed: number;
	sent: number;
	deliveries: number;
	totalDeliveries: number;
	neighbourSent: number;
	neighbourReceived: number;
	/** What came to those who had joined another group, within the window; not among the deliveries. */
	strays: number;
	/** A second sender's, within the window. */
	alsoSent: number;
	alsoDeliveries: number;
	/** Frames/s that each of the two may send. */
	limit?: number;
	cpuNs: number;
}

/** A victim's transactions a second while somebody storms into the peer, and into a TAP that leads nowhere. */
export interface StormResult {
	elapsed: number;
	storm: number;
	nowhere: number;
}

/** The same traffic among few guests and among many. */
export interface ScaleResult {
	elapsed: number;
	few: FloodResult;
	many: FloodResult;
}

/** The same traffic without limits, and with some that are not reached. */
export interface LimitedResult {
	elapsed: number;
	unlimited: FloodResult;
	limited: FloodResult;
}

/** Frames at a rate while the peer's process is killed and started again, or the wire unplugged. */
export interface DisruptionResult {
	elapsed: number;
	rate: number;
	sent: number;
	lost: number;
	/** Of these, and of a forger's: for which the receiver's TAP had no room. */
	full: number;
	/** How long the restart took, or the wire was unplugged, s. */
	restart: number;
	/** Frames of a forging guest's: those that arrived, and those that it sent. */
	forged: number;
	forgedSent: number;
}

export type Result =
	| FloodResult
	| SearchResult
	| ResponseResult
	| TcpResult
	| ConnectResult
	| FanResult
	| StormResult
	| ScaleResult
	| LimitedResult
	| DisruptionResult;
