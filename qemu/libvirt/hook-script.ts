/**
 * The script that libvirt runs when a domain starts, ends or is found again. It carries what it is told to the daemon,
 * and what the daemon says to whoever started the domain. Pure.
 *
 * libvirt stands still meanwhile, and takes whatever comes on stdout for the domain's new XML. So: nothing on stdout, a
 * deadline of our own, no question back to libvirt, which would wait for itself; and a shell and curl, which are ready
 * in some 10 ms, where Node.js takes longer than all the rest. A failure of `prepare`, `migrate` and `started` stops
 * the domain, with what is on stderr shown by virsh. After `reconnect` it would kill a running guest, and ends can't be
 * refused: they succeed, always. A domain that declares nothing of ours, and has no NIC called as ours are, costs a
 * shell, and can't be hurt by us.
 */

/** Which script is ours, whatever version wrote it. */
export const marker = '# Written by `ipvtap libvirt install`.';

/** @param socket the daemon's: libvirt passes no environment on. */
export function hookScript(socket: string): string {
	return `#!/bin/sh
# The hook by which libvirt's domains get their NICs from ipvtap (docs/libvirt.md).
${marker} It prints nothing on stdout, which libvirt would take for the domain's XML.
socket=${quoted(socket)}
case $2 in prepare | migrate | started | reconnect | stopped | release) ;; *) exit 0 ;; esac
xml=$(cat)
case $xml in *'<ipvtap:'* | *ipvtap.dev/* | *'<target dev='?ipvt-*) ;; *) exit 0 ;; esac
case $2 in prepare | migrate | started) fatal=1 ;; *) fatal=0 ;; esac

# What the daemon says, and in the last line the HTTP status and type. -q: no .curlrc.
tell() {
	printf '%s\\n' "$1" "$2" "$4" "$xml" | curl -q --silent --max-time 2 --unix-socket "$socket" \\
		--header 'Accept: text/plain' --header 'Content-Type: text/plain' --header 'Expect:' --data-binary @- \\
		--write-out '\\n%{http_code} %{content_type}' http://ipvtap/v1/libvirt
}
tries=1
# It was there a moment ago, when the domain was prepared: it is being restarted.
[ "$2" != started ] || tries=20
while :; do
	said=$(tell "$@" 2>/dev/null)
	status=$?
	tries=$((tries - 1))
	case $tries,$status in 0,*) break ;; *,7 | *,52 | *,55 | *,56) ;; *) break ;; esac
	sleep 0.05
done

answer=\${said##*
}
said=\${said%
*}
hint='see its log, and whether it still runs: ipvtap list'
start='start the daemon first (sudo ipvtapd), and let it start before libvirt at boot; see: ipvtap libvirt status'
case $status,$answer in
'0,200 text/plain') exit 0 ;;
'0,'[45]??' text/plain') hint= ;;
0,*) said="$socket is not ipvtap's: its answer makes no sense" hint='set IPVTAP_SOCKET, and: ipvtap libvirt install' ;;
28,*) said="ipvtapd did not answer in 2 s" ;;
127,*) said="can't reach ipvtapd: curl is not installed" hint='sudo apt install curl, or as your system has it' ;;
7,*) said="can't reach ipvtapd at $socket: nobody listens there" hint=$start ;;
*) said="can't reach ipvtapd at $socket: it went while it was being asked (curl: $status)" ;;
esac
[ $status != 7 ] || [ -e "$socket" ] || said="can't reach ipvtapd at $socket: there is no such socket"
printf '%s\\n' "ipvtap: $2 $1: $said" >&2
[ -z "$hint" ] || printf '%s\\n' "hint: $hint" >&2
exit $fatal
`;
}

/** The socket that a script of ours says; undefined for somebody else's. */
export function readHookScript(text: string): string | undefined {
	if (!text.includes(marker)) return undefined;
	return /^socket='(.*)'$/m.exec(text)?.[1]?.replaceAll(`'\\''`, "'") ?? '';
}

function quoted(text: string): string {
	return `'${text.replaceAll("'", `'\\''`)}'`;
}
