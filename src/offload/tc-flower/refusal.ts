/** Why a NIC has taken no rule, in words, and what would change that. */
import { asIpvtapError } from '../../errors.js';
import { deviceFeatures } from '../../sys/ethtool.js';
import { NetlinkError } from '../../sys/netlink/error.js';
import { getLink } from '../../sys/netlink/link.js';

/**
 * What the kernel has said comes first, for it decides; what a look at the device tells follows, as drivers often say no
 * more than "Operation not supported".
 * @param ifindex of the master.
 */
export function refusalOf(error: unknown, ifindex: number): string {
	const said = `the NIC takes no rule (${asIpvtapError(error).message})`;
	const link = getLink(ifindex);
	if (!link) return said;
	const { name, switchId } = link;
	const isUnknown = error instanceof NetlinkError && error.errnoName === 'ENOENT';
	const feature = deviceFeatures(name).get('hw-tc-offload') ?? 'unavailable';
	return `${said}: ${whatIsMissing({ name, switchId, feature, isUnknown })}`;
}

export interface Circumstances {
	/** Of the device. */
	name: string;
	/** Of the switch that it is a port of. */
	switchId: string | undefined;
	/** Of `hw-tc-offload`. */
	feature: string;
	/** The kernel doesn't know such filters, or their actions. */
	isUnknown: boolean;
}

export function whatIsMissing({ name, switchId, feature, isUnknown }: Circumstances): string {
	if (isUnknown)
		return `the kernel lacks one of ${modules.join(', ')}: sudo modprobe -a ${modules.join(' ')}`;
	if (feature === 'off') return `hw-tc-offload is off: sudo ethtool -K ${name} hw-tc-offload on`;
	if (feature !== 'on') return `the driver of ${name} has no hw-tc-offload`;
	if (switchId === undefined)
		return `${name} is no port of a switch in the NIC: sudo devlink dev eswitch set pci/ADDRESS mode switchdev (ADDRESS: the bus-info of ethtool -i ${name})`;
	return `its driver can't do what the rule says, which is to give a frame another MAC and send it out by a TAP`;
}

const modules = ['cls_flower', 'act_pedit', 'act_mirred', 'act_gact'];
