/** End-to-end tests: the whole product by its command line, with real guests on a make-believe LAN. Root; two files at a time. */
export default {
	files: ['dist/test/e2e/**/*.test.js'],
	nodeArguments: ['--enable-source-maps'],
	workerThreads: false,
	concurrency: 2,
	timeout: '480s',
};
