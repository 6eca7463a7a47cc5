import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { HookStatus } from '../../../qemu/libvirt/status.js';
import { until } from '../../../src/lab/wait.js';
import { assertClean } from './clean.js';
import { hook, hooks, LibvirtHost } from './libvirt-host.js';

const web1 = { target: 'ipvt-web1', mac: '52:54:00:00:00:11', addresses: ['192.0.2.11'] };

let host: LibvirtHost;
test.before(async () => {
	host = await LibvirtHost.create();
});
test.after.always(() => host?.close());
test.afterEach.always(t => assertClean(t, host));

test.serial("other people's hooks run before and behind ours, and are never touched", async t => {
	// As VFIO-Tools has it: one script that hands every call on, in a folder for each guest.
	await host.sh(`cat >${hooks}/qemu <<'EOF'
#!/bin/sh
echo "qemu $*" >>/run/libvirt/calls
cat >/dev/null
EOF
		cat >${hooks}/qemu.d/60-other <<'EOF'
#!/bin/sh
echo "60 $* $(grep -c ipvtap:nic)" >>/run/libvirt/calls
EOF
		chmod 755 ${hooks}/qemu ${hooks}/qemu.d/60-other
		mkdir -p ${hooks}/qemu.d/web/prepare/begin`);
	const sums = () => host.sh(`cd ${hooks} && find . -type f ! -name 50-ipvtap | sort | xargs md5sum`);
	const before = await sums();
	await host.define({ name: 'web', nics: [web1] });
	await host.virsh('start', 'web');
	await host.answers('192.0.2.11');
	await host.virsh('destroy', 'web');
	const calls = await host.sh('cat /run/libvirt/calls');
	for (const operation of ['prepare begin', 'started begin', 'release end'])
		for (const pattern of [`^qemu web ${operation} -$`, `^60 web ${operation} - 2$`])
			t.regex(calls, new RegExp(pattern, 'm'));
	await host.ipvtap('libvirt', 'uninstall');
	await host.ipvtap('libvirt', 'install');
	t.is(await sums(), before);
	const { findings, ok } = JSON.parse(await host.ipvtap('libvirt', 'status', '--json')) as HookStatus;
	t.true(ok);
	t.true(findings.some(({ id }) => id === 'dispatcher'));
	await host.sh(`rm -r ${hooks}/qemu ${hooks}/qemu.d/60-other ${hooks}/qemu.d/web`);
});

test.serial('a libvirt that was started without hooks needs to be told, and status says so', async t => {
	await host.ipvtap('libvirt', 'uninstall');
	t.is(await host.sh(`ls -A ${hooks}`), '');
	await host.stopLibvirt();
	await host.startLibvirt();
	const installed = await host.tryIpvtap('libvirt', 'install');
	t.is(installed.out, `${hook} is installed\n`);
	t.regex(
		installed.err,
		/note: libvirtd was started before the hook was written.*\nhint: sudo systemctl reload libvirtd/,
	);
	await host.define({ name: 'web', nics: [web1] });
	t.regex((await host.tryVirsh('start', 'web')).err, /specified dev doesn't exist/);
	host.reloadLibvirt();
	await until('libvirtd to look again', 10_000, async () => (await host.tryVirsh('start', 'web')).rc === 0);
	await host.answers('192.0.2.11');
});

test.serial('the hook says nothing on stdout, and is fast', async t => {
	await host.define({ name: 'web', nics: [web1] });
	const xml = join(host.lan.folder, 'web.xml');
	writeFileSync(xml, await host.virsh('dumpxml', 'web'));
	const timed = async (operation: string, file = xml) => {
		const said = await host.sh(
			`s=$(date +%s%N); out=$(${hook} web ${operation} - <${file}); echo $? $((($(date +%s%N) - s) / 1000)) "$out"`,
		);
		const [status, microseconds, ...rest] = said.trim().split(' ');
		return { status: Number(status), ms: Number(microseconds) / 1000, out: rest.join(' ') };
	};
	for (const [operation, expected] of [
		['prepare begin', 0],
		['start begin', 0],
		['restore begin', 0],
		['attach begin', 0],
		['stopped end', 0],
		['release end', 0],
	] as const) {
		const times: number[] = [];
		for (let round = 0; round < 5; round++) {
			if (operation === 'prepare begin') await timed('release end');
			const { status, ms, out } = await timed(operation);
			t.is(status, expected);
			t.is(out, '');
			times.push(ms);
		}
		t.log(`${operation}: ${times.map(ms => ms.toFixed(0)).join(' ')} ms`);
	}
	writeFileSync(`${xml}.plain`, '<domain><name>plain</name></domain>');
	const plain = await timed('prepare begin', `${xml}.plain`);
	t.log(`prepare begin of somebody else's domain: ${plain.ms.toFixed(0)} ms`);
	t.is(plain.status, 0);
});

test.serial('what must not fail never does', async t => {
	const xml = join(host.lan.folder, 'broken.xml');
	writeFileSync(xml, '<domain xmlns:a="https://ipvtap.dev/xmlns/libvirt/1">');
	for (const [operation, status] of [
		['reconnect', 0],
		['stopped', 0],
		['release', 0],
		['prepare', 1],
		['started', 1],
		['migrate', 1],
	] as const) {
		const said = await host.sh(`${hook} web ${operation} x - <${xml} 2>&1 >/dev/null && echo 0 || echo $?`);
		t.is(
			said,
			`ipvtap: ${operation} web: read the domain's XML: line 2: <domain> is not closed\n${status}\n`,
		);
	}
});
