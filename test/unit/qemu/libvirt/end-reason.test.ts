import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { endReason } from '../../../../qemu/libvirt/end-reason.js';

const start =
	'2026-01-01 00:00:00.000+0000: starting up libvirt version: 9.0.0, hostname: vm\n-display none \\\n';
const end = (reason: string) => `2026-01-01 00:00:01.000+0000: shutting down, reason=${reason}\n`;
const qemu =
	'2026-01-01T00:00:01.000000Z qemu-system-x86_64: terminating on signal 15 from pid 1 (libvirtd)\n';

for (const [title, log, expected] of [
	['the last end', start + end('destroyed') + start + end('saved') + qemu, 'saved'],
	['a start without an end says nothing', start + end('saved') + start + qemu, undefined],
	['only the tail is read', start + end('saved') + 'x'.repeat(20_000), undefined],
	['an empty log', '', undefined],
	['a guest that writes such a line elsewhere', `${start}x shutting down, reason=saved\n`, undefined],
] as const) {
	test(title, t => {
		const folder = mkdtempSync(join(tmpdir(), 'ipvtap-log-'));
		t.teardown(() => rmSync(folder, { recursive: true }));
		writeFileSync(join(folder, 'web.log'), log);
		t.is(endReason('web', '-', folder), expected);
	});
}

test('what libvirt says goes before the log, and no log is no reason', t => {
	t.is(endReason('web', 'migrated', '/nowhere'), 'migrated');
	t.is(endReason('web', '-', '/nowhere'), undefined);
});
