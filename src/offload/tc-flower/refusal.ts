/** Why a NIC has taken no rule, in words, and what would change that. */
import { asIpvtapError } from '../../errors.js';
import { deviceFeatures } from '../../sys/ethtool.js';
import { NetlinkError } from '../../sys/netlink/error.js';
import { getLink, type Link } from '../../sys/netlink/link.js';

/**
 * What the kernel has said comes first, for it decides; what a look at the device tells follows, as drivers often say no
 * more than "Operation not supported".
 * @param ifindex of the master.
 */
export function refusalOf(error: unknown, ifindex: number): string {
	const link = getLink(ifindex);
	const { message } = asIpvtapError(error);
	return `the NIC takes no rule (${message})${link ? `: ${missing(error, link)}` : ''}`;
}

function missing(error: unknown, link: Link): string {
	const { name } = link;
	if (error instanceof NetlinkError && error.errnoName === 'ENOENT')
		return 'the kernel lacks one of cls_flower, act_pedit, act_mirred and act_gact: sudo modprobe -a cls_flower act_pedit act_mirred act_gact';
	const feature = deviceFeatures(name).get('hw-tc-offload');
	if (feature === 'off') return `hw-tc-offload is off: sudo ethtool -K ${name} hw-tc-offload on`;
	if (feature !== 'on') return `the driver of ${name} has no hw-tc-offload`;
	if (link.switchId === undefined)
		return `${name} is no port of a switch in the NIC: sudo devlink dev eswitch set pci/ADDRESS mode switchdev (ADDRESS as ethtool -i ${name} has it)`;
	return `the driver of ${name} can't do what it says, which is to give a frame another MAC and to send it out by a TAP`;
}
