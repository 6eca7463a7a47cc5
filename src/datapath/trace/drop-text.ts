/** What each drop reason means, and what whoever misses the frame can do about it. Complete: the compiler sees to it. */
import type { DropReason } from '../verdict.js';

export interface DropText {
	/** A clause: "dropped, because …". */
	means: string;
	/** A sentence, or a command. */
	remedy: string;
}

export const dropTexts: Record<DropReason, DropText> = {
	none: { means: 'there is no reason', remedy: 'Nothing is wrong.' },
	malformed: {
		means: 'it is shorter than its headers claim, or its headers contradict each other',
		remedy: 'Look at the frame in the guest with tcpdump: whoever made it made it wrong.',
	},
	'bad-vnet-header': {
		means: "its virtio header doesn't fit the frame",
		remedy: 'Switch offloads off in the guest (ethtool -K eth0 tx off); its driver, or its VMM, is at fault.',
	},
	vlan: {
		means: 'it is VLAN-tagged',
		remedy:
			'Remove the VLAN interface in the guest; for another VLAN, make a master of a VLAN interface on the host.',
	},
	ethertype: {
		means: 'it is neither IPv4, IPv6 nor ARP, and by nothing else can a guest be told from its neighbours',
		remedy: 'Use IP; guests that need other protocols need a bridge.',
	},
	'mac-spoof': {
		means: "its source MAC isn't the slave's",
		remedy:
			"Give the guest's NIC the MAC that `ipvtap show` says, and don't bridge or make MACs inside the guest.",
	},
	'ip-spoof': {
		means: "its source address isn't the slave's, and the slave can't claim it",
		remedy: "If it is the guest's by right: ipvtap set NAME --ip +ADDRESS.",
	},
	'arp-spoof': {
		means: "it speaks for an address, or a MAC, that isn't the slave's",
		remedy: "If the address is the guest's by right: ipvtap set NAME --ip +ADDRESS.",
	},
	'nd-spoof': {
		means: "it speaks for an address, or a MAC, that isn't the slave's",
		remedy: "If the address is the guest's by right: ipvtap set NAME --ip +ADDRESS.",
	},
	'nd-hidden': {
		means: 'neighbour discovery hides behind extension headers or in fragments (RFC 6980)',
		remedy: 'No honest system sends that: look for what does in the guest.',
	},
	'router-guard': {
		means: 'guests may not advertise routers, nor redirect their neighbours',
		remedy: 'Stop the router daemon (radvd, for example) in the guest.',
	},
	private: {
		means: 'the flag is private: no slave reaches another',
		remedy: 'If slaves are to reach each other: ipvtap set MASTER --flag bridge.',
	},
	reflected: {
		means: 'it is our own frame, which a switch or an access point sent back',
		remedy:
			'Nothing is lost: whom it was for has it already. With a reflective relay: ipvtap set MASTER --flag vepa.',
	},
	'unknown-destination': {
		means: 'nobody here has the destination',
		remedy:
			"See whether the guest's address is known (ipvtap list), and whether there is a host slave (ipvtap show MASTER).",
	},
	'backlog-full': {
		means: 'the slow path is behind',
		remedy:
			'Find out who sends so much multicast or broadcast (ipvtap stats), or give it more room: ipvtap up MASTER --backlog N.',
	},
	'backlog-budget': {
		means: 'its sender holds its share of the slow path already',
		remedy: 'Find out why that guest sends so much multicast or broadcast.',
	},
	'receiver-full': {
		means: "the receiver's queue is full, or nobody has its TAP open",
		remedy:
			'See in `ipvtap list` whether the guest is up; if it is too slow, give it more processor time, vhost=on, or more --queues.',
	},
	'receiver-down': {
		means: "the receiver's interface is down",
		remedy: 'See `ip link` for the interface, and what took it down.',
	},
	'too-big': {
		means: "it is longer than the receiver's MTU, and can't be segmented",
		remedy: 'Give the guest the MTU that `ipvtap show` says.',
	},
	'send-failed': {
		means: 'the kernel refused the frame',
		remedy: 'See the log of the daemon, and dmesg.',
	},
	truncated: {
		means: 'there was no memory for a long frame',
		remedy: 'Smaller bursts, or fewer offloads in the guest, if it goes on.',
	},
	'ring-full': {
		means: 'the forwarder was behind',
		remedy: 'The machine is short of processor time; see `ipvtap stats`.',
	},
	'own-address': {
		means: 'it is for the address of the slave that sent it',
		remedy: 'A guest talks to itself by its loopback interface: see its routes.',
	},
	'dhcp-spoof': {
		means: "the DHCP request names another's hardware address, or another guest's transaction",
		remedy: "Let the guest's DHCP client use its NIC's own MAC.",
	},
	'dhcp-conflict': {
		means: "the DHCP server offers an address that is the host's or another guest's",
		remedy: 'Let the server tell clients apart by client identifier, or give the guest a static address.',
	},
	'dhcp-guard': {
		means: 'guests may not answer as DHCP servers',
		remedy: 'Stop the DHCP server in the guest, or run it elsewhere.',
	},
	'address-quota': {
		means: 'the slave has as many addresses as it may, and none that it learned could give way',
		remedy: 'Take one away (ipvtap set NAME --ip -ADDRESS), or give the new one by hand (--ip +ADDRESS).',
	},
	'gateway-address': {
		means: "the address is that of a gateway of the host's",
		remedy: 'Give the guest another address: two owners of a gateway cut off the whole LAN.',
	},
	'duplicate-address': {
		means: 'another machine on the LAN uses the address',
		remedy: 'Give one of the two another address; then it can be claimed after a minute.',
	},
	'limit-tx': {
		means: 'its slave has sent more than its limit',
		remedy: 'If it may send more: ipvtap set NAME --limit tx=RATE.',
	},
	'limit-rx': {
		means: 'its receiver has got more than its limit',
		remedy: 'If it may get more: ipvtap set NAME --limit rx=RATE.',
	},
	'slow-budget': {
		means: 'its slave has sent more multicast, broadcast or claims than its budget',
		remedy: 'Find out why that guest sends so many; if it may: ipvtap set NAME --limit slow=RATE.',
	},
	'learn-budget': {
		means: 'its slave has claimed more addresses than its budget, in so short a time',
		remedy:
			'If it may change addresses that fast: ipvtap set NAME --limit learn=RATE; or give it the address: --ip +ADDRESS.',
	},
	'bad-checksum': {
		means: 'it has to be routed, and the checksum of its IPv4 header is wrong (RFC 1812, 5.2.2)',
		remedy:
			"Look for a damaged packet at its sender: the guest's own stack makes this checksum, whatever it leaves to its NIC.",
	},
	'off-link': {
		means:
			'its source is no address of the LAN that the master is on, so that nobody can claim it by using it',
		remedy: "If it is the guest's: ipvtap set NAME --ip +ADDRESS.",
	},
	tentative: {
		means:
			'it is not known yet whether somebody on the LAN has its source, and more of them wait for that than may; or the claim came to nothing',
		remedy: 'Nothing, if it happens once; else give the guest the address: ipvtap set NAME --ip +ADDRESS.',
	},
	'not-routed': {
		means: 'it is for a group, or a broadcast address, and in l3 and l3s only unicast crosses',
		remedy: 'For one slave: ipvtap set MASTER --multicast-slave NAME; for all: --mode l2.',
	},
	'no-route': {
		means: 'the host has no route to its destination',
		remedy: "See the host's routes (`ip route get ADDRESS`).",
	},
	unreachable: {
		means: "the host's route to its destination says `unreachable`",
		remedy: "See the host's routes (`ip route get ADDRESS`).",
	},
	prohibited: {
		means: "the host's route to its destination says `prohibit`",
		remedy: "See the host's routes (`ip route get ADDRESS`).",
	},
	'beyond-scope': {
		means: 'its source address is not valid beyond the link, and its destination is there',
		remedy: 'Give the guest an address that is not link-local.',
	},
	blackhole: {
		means: "the host's route to its destination says `blackhole`",
		remedy: "See the host's routes (`ip route get ADDRESS`).",
	},
	'ttl-exceeded': {
		means: 'its TTL or hop limit ends here',
		remedy: 'Nothing is wrong with traceroute; else look for a routing loop.',
	},
	unresolved: {
		means: "the next hop doesn't answer for its MAC",
		remedy: 'See whether it is there: `ip neighbour show dev MASTER`.',
	},
};
