/** `ipvtap libvirt install|uninstall|status`: the hook by which libvirt's domains get their NICs. */
import { hookPath, installHook, uninstallHook } from '../../../qemu/libvirt/installer.js';
import { type HookStatus, hookStatus, reloadCommand } from '../../../qemu/libvirt/status.js';
import { readConfig } from '../../config.js';
import { note, print } from '../output.js';

interface Options {
	json?: boolean;
	root?: string;
}

export async function install({ json = false, root }: Options): Promise<void> {
	const { socket } = readConfig();
	const written = installHook(socket, root);
	const status = await hookStatus(socket, root);
	print(
		json,
		{ ...status, written },
		written ? `${status.path} is installed` : `${status.path} is there already, as it should be`,
	);
	if (!json) for (const text of lines(status)) note(text);
}

export async function uninstall({ json = false, root }: Options): Promise<void> {
	const removed = uninstallHook(root);
	const path = hookPath(root);
	print(json, { path, removed }, removed ? `${path} is removed` : `there is no ${path}`);
	const reload = root === undefined && removed ? reloadCommand() : undefined;
	if (!json && reload !== undefined) note(`hint: let libvirt know: ${reload}`);
}

/** @returns the exit status: 1 if something is in the way. */
export async function status({ json = false, root }: Options): Promise<number> {
	const found = await hookStatus(readConfig().socket, root);
	const head = found.installed
		? `${found.path}: ${found.ok ? 'installed' : 'installed, but'}`
		: 'not installed';
	print(json, found, [head, ...lines(found)].join('\n'));
	return found.ok ? 0 : 1;
}

function lines({ findings }: HookStatus): string[] {
	return findings.flatMap(({ level, message, hint }) => [
		`${level}: ${message}`,
		...(hint === undefined ? [] : [`hint: ${hint}`]),
	]);
}
