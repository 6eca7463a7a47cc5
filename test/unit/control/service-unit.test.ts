import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { serviceUnit } from '../../../src/control/service-unit.js';

const paths = {
	node: process.execPath,
	entry: '/opt/100% "ipvtap"/main.js',
	socket: '/run/ipvtap/ipvtap.sock',
	stateDir: '/var/lib/ipvtap',
};

test('paths stand in the unit as they are, whatever is in them', t => {
	const unit = serviceUnit(paths);
	t.true(unit.includes(`ExecStart="${process.execPath}" "/opt/100%% \\"ipvtap\\"/main.js" daemon\n`), unit);
	t.true(
		unit.includes('Environment="IPVTAP_SOCKET=/run/ipvtap/ipvtap.sock" "IPVTAP_STATE_DIR=/var/lib/ipvtap"\n'),
	);
});

const has = (program: string): boolean => {
	try {
		execFileSync(program, ['--version'], { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
};

(has('systemd-analyze') ? test : test.skip)('systemd finds nothing to complain of', t => {
	const folder = mkdtempSync(join(tmpdir(), 'ipvtap-unit-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const file = join(folder, 'ipvtapd.service');
	writeFileSync(file, serviceUnit({ ...paths, entry: '/opt/ipvtap/main.js' }));
	const said = execFileSync('sh', ['-c', 'systemd-analyze verify --man=no "$1" 2>&1', 'sh', file], {
		encoding: 'utf8',
	});
	t.false(said.includes('ipvtapd.service'), said);
});
