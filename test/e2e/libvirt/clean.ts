import type { ExecutionContext } from 'ava';
import { until } from '../../../src/lab/wait.js';
import type { LibvirtHost } from './libvirt-host.js';

/** Ends whatever a test has left running; then nothing may be left of it in either's view, or in the kernel. */
export async function assertClean(t: ExecutionContext, host: LibvirtHost): Promise<void> {
	for (const name of (await host.virsh('list', '--name', '--all')).split('\n').filter(Boolean)) {
		await host.tryVirsh('destroy', name);
		// One that migrated here is gone by now.
		await host.tryVirsh('undefine', '--managed-save', name);
	}
	t.is((await host.virsh('list', '--name', '--all')).trim(), '');
	await assertNothingLeft(t, host);
}

export async function assertNothingLeft(t: ExecutionContext, host: LibvirtHost): Promise<void> {
	const { slaves, domains } = await host.list();
	t.deepEqual(
		slaves.map(({ name }) => name),
		[],
	);
	t.deepEqual(domains ?? [], []);
	// The kernel removes devices after the call that asked for it.
	const left = await until('the devices to go', 20_000, async () => (await host.traces()).length === 0).catch(
		() => host.traces(),
	);
	t.deepEqual(left, true);
}
