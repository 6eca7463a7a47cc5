/**
 * Lines for a shell in a mount namespace of its own: where the machine has no such user, because only a package's files
 * are here, the programs in the namespace find one all the same.
 * @param folder where the two files can lie for as long as the namespace is there.
 */
export function privateUser(name: string, id: number, folder: string): string {
	const { passwd, group } = userLines(name, id);
	return `if ! getent passwd ${name} >/dev/null; then
	for file in passwd group; do cp /etc/$file ${folder}/$file; done
	echo '${passwd}' >>${folder}/passwd
	echo '${group}' >>${folder}/group
	for file in passwd group; do mount --bind ${folder}/$file /etc/$file; done
fi`;
}

/** Of passwd(5) and group(5). */
export function userLines(name: string, id: number): { passwd: string; group: string } {
	return { passwd: `${name}:x:${id}:${id}::/:/bin/false`, group: `${name}:x:${id}:` };
}
