/** Which settings of the host make it forward for mode l3s (see forwarding.ts for why). Pure. */
import { IpvtapError } from '../../errors.js';

/** Paths under /proc/sys/net, and what they held before. */
export type SavedSettings = Readonly<Record<string, string>>;

export interface ForwardingHost {
	/** undefined where the kernel has no such setting. */
	read: (path: string) => string | undefined;
	/** Names of the devices with IPv6 settings. */
	devices: () => string[];
	/** Names of the devices that have routes from router advertisements. */
	advertised: () => string[];
}

/**
 * What has to be set, in order. Pure, given the host.
 * @throws IpvtapError `conflict` if IPv6 forwarding would cost the host its own routes.
 */
export function planForwarding(
	master: string,
	slave: string,
	host: ForwardingHost,
): [path: string, value: string][] {
	const settings: [string, string][] = [
		[`ipv4/conf/${slave}/forwarding`, '1'],
		[`ipv4/conf/${master}/forwarding`, '1'],
		// All guests are behind one device, which doesn't mean that they could reach each other without the host.
		[`ipv4/conf/${slave}/send_redirects`, '0'],
	];
	if (host.read(`ipv6/conf/${master}/forwarding`) === undefined) return settings;
	if (host.read(`ipv6/conf/${master}/force_forwarding`) !== undefined) {
		return [
			...settings,
			[`ipv6/conf/${slave}/force_forwarding`, '1'],
			[`ipv6/conf/${master}/force_forwarding`, '1'],
		];
	}
	if (host.read('ipv6/conf/all/forwarding') === '1') return settings;
	const losers = host.advertised().filter(device => host.read(`ipv6/conf/${device}/accept_ra`) !== '2');
	if (losers.length > 0) {
		throw new IpvtapError(
			'conflict',
			`can't use mode l3s on ${master}: with IPv6 forwarding on, the host would lose its routes by ${losers.join(', ')}, which it has from router advertisements`,
			{
				hint: `let it keep them: ${losers.map(device => `sysctl -w net.ipv6.conf.${device.replaceAll('.', '/')}.accept_ra=2`).join('; ')}`,
			},
		);
	}
	return [...settings, ['ipv6/conf/all/forwarding', '1']];
}

/** The same settings after a device was renamed. */
export function renameSettings(saved: SavedSettings, from: string, to: string): SavedSettings {
	return Object.fromEntries(
		Object.entries(saved).map(([path, value]) => [
			path.replace(`/conf/${from}/`, () => `/conf/${to}/`),
			value,
		]),
	);
}
