/**
 * Integration tests: root, real kernel devices, real QEMU. Each file leaves the machine's network namespace
 * for one of its own, so files are processes and not threads. Two at a time: each waits half of its time.
 */
export default {
	files: ['dist/test/integration/**/*.test.js'],
	nodeArguments: ['--enable-source-maps'],
	workerThreads: false,
	concurrency: 2,
	timeout: '480s',
};
