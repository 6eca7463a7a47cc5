/**
 * Who may do what. The socket's mode keeps strangers out; this asks the kernel who is there (SO_PEERCRED), so
 * that a socket with a wrong mode, or one in a bind mount, opens nothing.
 */
import type { Socket } from 'node:net';
import { IpvtapError } from '../../errors.js';
import { descriptorOf, peerCredentials } from '../../sys/peer-credentials.js';
import { accessGroup, groupId, groupsOf } from '../users.js';

export interface Actor {
	uid: number;
	/** Root, or the user that the daemon runs as: may do everything. Others may only touch their own slaves. */
	privileged: boolean;
}

/** @throws IpvtapError `permission` for a user who is neither root, nor the daemon's own, nor in the group. */
export async function identify(socket: Socket): Promise<Actor> {
	const peer = peerCredentials(descriptorOf(socket));
	if (peer.uid === 0 || peer.uid === process.geteuid?.()) return { uid: peer.uid, privileged: true };
	const group = await groupId(accessGroup);
	if (group !== null && (peer.gid === group || groupsOf(peer.pid).includes(group))) {
		return { uid: peer.uid, privileged: false };
	}
	throw new IpvtapError('permission', `user ${peer.uid} may not use this daemon`, {
		hint: `run it as root, or join the group: sudo usermod -aG ${accessGroup} "$USER", then log in again`,
	});
}

/** @throws IpvtapError `permission`. */
export function requirePrivilege(actor: Actor, what: string): void {
	if (actor.privileged) return;
	throw new IpvtapError('permission', `user ${actor.uid} may not ${what}`, {
		hint: `members of the group ${accessGroup} may only attach, change and detach slaves of their own; use sudo`,
	});
}

/** @throws IpvtapError `permission` if the slave is somebody else's. */
export function requireOwner(actor: Actor, owner: number, what: string): void {
	if (actor.privileged || actor.uid === owner) return;
	throw new IpvtapError('permission', `user ${actor.uid} may not ${what}: it belongs to user ${owner}`, {
		hint: 'use sudo, or ask its owner',
	});
}
