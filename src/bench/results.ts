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
}

/** What iperf3 says about TCP between two Linux stacks. */
export interface TcpResult {
	elapsed: number;
	bytes: number;
	retransmits: number;
}

/** What `fan` prints: broadcasts, and the neighbours' unicast beside them. */
export interface FanResult {
	elapsed: number;
	sent: number;
	deliveries: number;
	totalDeliveries: number;
	neighbourSent: number;
	neighbourReceived: number;
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

/** Frames at a rate while the peer's process is killed and started again. */
export interface DisruptionResult {
	elapsed: number;
	rate: number;
	sent: number;
	lost: number;
	/** How long the restart took, s. */
	restart: number;
}

export type Result =
	| FloodResult
	| SearchResult
	| ResponseResult
	| TcpResult
	| FanResult
	| StormResult
	| ScaleResult
	| DisruptionResult;
