/** The decision table against the real kernel's driver, in one virtual machine. Root. */
export default {
	files: ['dist/test/oracle/**/*.test.js'],
	nodeArguments: ['--enable-source-maps'],
	workerThreads: false,
	concurrency: 1,
	timeout: '480s',
};
