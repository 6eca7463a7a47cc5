/**
 * The compliance suite over tc-bpf in both its ways, tc-flower, the worked example of docs/, and the module that IPVTAP_HOOK names;
 * and over hooks that break the law, to show that it would be noticed.
 */
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext, type TestFn } from 'ava';
import { chooseOffload } from '../../../src/offload/choose.js';
import type { OffloadContext, OffloadedPort, XmitOffload } from '../../../src/offload/offload.js';
import { TcBpf } from '../../../src/offload/tc-bpf/tc-bpf.js';
import { TcFlower } from '../../../src/offload/tc-flower/tc-flower.js';
import { comply } from '../../compliance/offload.js';
import { enterFreshNamespace } from '../../helpers/in-namespace.js';
import { isOlderThan } from '../../helpers/kernel-age.js';

enterFreshNamespace();
process.env.IPVTAP_AUDIT_LOG = '/dev/null';
const example = fileURLToPath(new URL('../../../../docs/examples/audit-offload.mjs', import.meta.url));

if (isOlderThan(6, 6)) test.skip('tcx: not in this kernel', t => t.fail());
else comply(test, 'tcx', () => new TcBpf({ attach: 'tcx' }));
comply(test, 'clsact', () => new TcBpf({ attach: 'clsact' }));
comply(test, 'tc-flower', () => new TcFlower());
for (const path of [example, process.env.IPVTAP_HOOK].filter(path => path !== undefined)) {
	comply(test, path.split('/').at(-1)!, async () => (await chooseOffload(path, 'l2')).hook!);
}

/** Each breaks one law, in one line. */
const outlaws: Record<string, (port: OffloadedPort) => Partial<OffloadedPort>> = {
	'forgets to forget': () => ({ removeAddress: () => undefined }),
	'mixes up owners': port => ({
		addAddress: (address, edge) => port.addAddress(address, edge === 2 ? 3 : edge),
	}),
	'knows no flags': port => ({ setPort: policy => port.setPort({ ...policy, flag: 'bridge' }) }),
	'knows no limits': port => ({ addSlave: slave => port.addSlave({ ...slave, limits: {} }) }),
	'leads astray': port => ({
		setRoutes: (add, remove) =>
			port.setRoutes?.(
				add.map(({ prefix }) => ({ prefix, hop: { to: 'blackhole' } })),
				remove,
			),
	}),
	'lets slaves stay': () => ({ removeSlave: () => undefined }),
	'counts nothing': () => ({
		counters: () => ({
			drops: {},
			in: { packets: 0, bytes: 0 },
			out: { packets: 0, bytes: 0 },
			rxLimited: 0,
			notTried: 0,
		}),
	}),
};

for (const [name, change] of Object.entries(outlaws)) {
	test.serial(`a hook that ${name} does not comply`, async t => {
		const bodies: ((t: ExecutionContext) => Promise<void>)[] = [];
		const collect = { serial: (_title: string, body: (typeof bodies)[number]) => bodies.push(body) };
		comply(collect as unknown as TestFn, 'outlaw', () => outlaw(change));
		let complies = true;
		for (const body of bodies) {
			const attempt = await t.try(body);
			attempt.discard();
			complies &&= attempt.passed;
			if (!complies) break;
		}
		t.false(complies);
	});
}

function outlaw(change: (port: OffloadedPort) => Partial<OffloadedPort>): XmitOffload {
	const law = new TcBpf({ attach: 'clsact' });
	const open = (context: OffloadContext): OffloadedPort => {
		const port = law.open(context);
		const broken = change(port);
		return new Proxy(port, {
			get: (_, key) => {
				const value = key in broken ? Reflect.get(broken, key) : Reflect.get(port, key, port);
				return typeof value === 'function' ? value.bind(port) : value;
			},
		});
	};
	return { name: 'outlaw', probe: mode => law.probe(mode), open };
}
