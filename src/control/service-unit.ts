/** The daemon as a service of systemd. Pure. */

export interface ServicePaths {
	/** Absolute. */
	node: string;
	/** dist/src/cli/main.js of this installation. */
	entry: string;
	socket: string;
	stateDir: string;
}

/**
 * The text of a unit (systemd.service(5)). It is ready when the daemon answers, so whatever libvirt starts at boot
 * finds it; and when it is stopped, guests that `run` started keep running, as they aren't its children to end.
 */
export function serviceUnit({ node, entry, socket, stateDir }: ServicePaths): string {
	return `[Unit]
Description=ipvtap: guests on the LAN through one NIC and one MAC
After=network-pre.target
Before=libvirtd.service virtqemud.service libvirt-guests.service

[Service]
Type=notify
NotifyAccess=all
Environment=${quoted(`IPVTAP_SOCKET=${socket}`)} ${quoted(`IPVTAP_STATE_DIR=${stateDir}`)}
ExecStart=${quoted(node)} ${quoted(entry)} daemon
Restart=on-failure
RestartSec=100ms
KillMode=process
NoNewPrivileges=yes
LockPersonality=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
`;
}

/** A word of a unit file: specifiers and quotes mean themselves. */
function quoted(text: string): string {
	return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
}
