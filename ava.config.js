/** Unit and property tests: no privileges, no network, compiled by `npm run build` first. */
export default {
	files: ['dist/test/unit/**/*.test.js', 'dist/test/properties/**/*.test.js'],
	nodeArguments: ['--enable-source-maps'],
	timeout: '300s',
};
