/** Users and groups of this system, for owners of TAPs and for who may use the socket. */
import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { IpvtapError } from '../errors.js';
import { quote } from './names.js';

/** The members of this group may use the socket, if the group exists. */
export const accessGroup = 'ipvtap';

/** A user's name or number, as a number. @throws IpvtapError `not-found`. */
export async function userId(user: string): Promise<number> {
	if (/^\d{1,10}$/.test(user) && Number(user) < nobodyAtAll) return Number(user);
	const entry = /^[^:\s-][^:\s]*$/.test(user) ? await lookUp('passwd', user) : null;
	if (entry?.[2] !== undefined) return Number(entry[2]);
	throw new IpvtapError('not-found', `no user is named ${quote(user)}`, {
		hint: 'give the name or the number of the user who runs QEMU',
	});
}

/** @returns the group's number, or null if there is no such group. */
export async function groupId(group: string): Promise<number | null> {
	const entry = await lookUp('group', group);
	return entry?.[2] === undefined ? null : Number(entry[2]);
}

/** Groups of a running process, its supplementary ones included; none if it is gone. */
export function groupsOf(pid: number): number[] {
	try {
		const line = /^Groups:(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
		return line.trim().split(/\s+/).filter(Boolean).map(Number);
	} catch {
		return [];
	}
}

/**
 * May that user read and write a device file? Judged by owner, group and mode, for users that aren't this
 * process; groups are those of /etc/group, so one from elsewhere is missed and the answer is then no.
 */
export function canOpen(path: string, uid: number): boolean {
	const file = statSync(path, { throwIfNoEntry: false });
	if (!file) return false;
	if (uid === 0) return true;
	if (file.uid === uid) return (file.mode & 0o600) === 0o600;
	const name = databases.passwd().find(entry => Number(entry[2]) === uid)?.[0] ?? '';
	const group = databases.group().find(entry => Number(entry[2]) === file.gid);
	if (group?.[3]?.split(',').includes(name)) return (file.mode & 0o060) === 0o060;
	return (file.mode & 0o006) === 0o006;
}

/** The files first, since they cost nothing; then whatever else this system asks (LDAP, systemd), by getent. */
async function lookUp(database: 'passwd' | 'group', name: string): Promise<string[] | null> {
	const local = databases[database]().find(entry => entry[0] === name);
	if (local) return local;
	try {
		const { stdout } = await promisify(execFile)('getent', [database, name], { timeout: 5000 });
		return stdout.trim().split(':');
	} catch {
		return null;
	}
}

const databases = {
	passwd: () => entriesOf('/etc/passwd'),
	group: () => entriesOf('/etc/group'),
};

function entriesOf(path: string): string[][] {
	try {
		return readFileSync(path, 'utf8')
			.split('\n')
			.filter(Boolean)
			.map(line => line.split(':'));
	} catch {
		return [];
	}
}

/** (uid_t)-1 stands for "no user" in the kernel's calls. */
const nobodyAtAll = 0xffffffff;
