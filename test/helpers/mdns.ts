/** A multicast DNS query (RFC 6762) for the IPv4 address of `name`.local, as the text that GroupSocket sends. */
export function mdnsQuestion(name: string): string {
	const labels = [name, 'local'].map(label => String.fromCharCode(label.length) + label).join('');
	// Header: no id, no flags, one question. Then the question's name, type A, class IN.
	return `${'\0'.repeat(5)}\x01${'\0'.repeat(6)}${labels}\0\0\x01\0\x01`;
}
