/** The script that libvirt finds: what of the hook must work even where the rest of ipvtap doesn't. Pure. */
export interface HookPaths {
	/** Absolute: libvirt gives its hooks the PATH of its daemon, which may know no node. */
	node: string;
	/** dist/qemu/libvirt/hook.js of this installation. */
	entry: string;
	/** The daemon's socket: libvirt passes no environment on. */
	socket: string;
}

/** Which script is ours, whatever version wrote it. */
export const marker = '# Written by `ipvtap libvirt install`.';

/**
 * A domain that declares nothing of ours costs a shell and no more, and can't be hurt by us. The shell also sees to
 * it that a failure of ours, or an ipvtap that is no longer there, stops only what it may stop.
 */
export function hookScript({ node, entry, socket }: HookPaths): string {
	return `#!/bin/sh
# The hook by which libvirt's domains get their NICs from ipvtap (docs/libvirt.md).
${marker} It prints nothing on stdout, which libvirt would take for the domain's XML.
node=${quoted(node)}
entry=${quoted(entry)}
export IPVTAP_SOCKET=${quoted(socket)}
case $2 in prepare | migrate | started | reconnect | stopped | release) ;; *) exit 0 ;; esac
xml=$(cat)
case $xml in *'<ipvtap:'* | *ipvtap.dev/*) ;; *) exit 0 ;; esac
if [ -x "$node" ] && [ -r "$entry" ]; then
	printf '%s\\n' "$xml" | timeout -s KILL 3 "$node" "$entry" "$@" >/dev/null
	status=$?
else
	echo "ipvtap: $2 $1: ipvtap is not where it was ($node, $entry)" >&2
	echo "hint: install its hook anew: ipvtap libvirt install" >&2
	status=1
fi
case $2 in prepare | migrate | started) exit $status ;; esac
exit 0
`;
}

/** What a script of ours says; undefined for somebody else's. */
export function readHookScript(text: string): HookPaths | undefined {
	if (!text.includes(marker)) return undefined;
	const value = (name: string): string => {
		const match = new RegExp(`^(?:export )?${name}=('.*')$`, 'm').exec(text);
		return match?.[1]?.slice(1, -1).replaceAll(`'\\''`, "'") ?? '';
	};
	return { node: value('node'), entry: value('entry'), socket: value('IPVTAP_SOCKET') };
}

function quoted(text: string): string {
	return `'${text.replaceAll("'", `'\\''`)}'`;
}
