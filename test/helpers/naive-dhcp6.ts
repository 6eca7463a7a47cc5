/** DHCPv6 messages read the slow, obvious way: cut into options first, understood afterwards. */
export interface NaiveMessage {
	type: number;
	transaction: number;
	duid: string;
	associations: { kind: number; id: number; addresses: { address: string; valid: number }[] }[];
}

export function naiveDhcp6(bytes: Uint8Array): NaiveMessage | undefined {
	if (bytes.length < 4) return undefined;
	const options = cutUp(bytes.slice(4));
	const duids = options?.filter(({ code }) => code === 1) ?? [];
	if (!options || duids.length > 1) return undefined;
	if (duids.some(({ value }) => value.length < 3 || value.length > 130)) return undefined;
	const associations: NaiveMessage['associations'] = [];
	for (const { code, value } of options.filter(one => [3, 4, 25].includes(one.code))) {
		const head = code === 4 ? 4 : 12;
		const inner = value.length < head ? undefined : cutUp(value.slice(head));
		const addresses = inner?.filter(one => one.code === 5 && code !== 25) ?? [];
		if (!inner || addresses.some(one => one.value.length < 24)) return undefined;
		associations.push({
			kind: code,
			id: number(value, 0),
			addresses: addresses.map(one => ({
				address: Buffer.from(one.value.slice(0, 16)).toString('hex'),
				valid: number(one.value, 20),
			})),
		});
	}
	return {
		type: bytes[0] as number,
		transaction: number(bytes, 0) % 0x1000000,
		duid: Buffer.from(duids[0]?.value ?? []).toString('hex'),
		associations,
	};
}

function cutUp(bytes: Uint8Array): { code: number; value: Uint8Array }[] | undefined {
	if (bytes.length === 0) return [];
	if (bytes.length < 4) return undefined;
	const length = (bytes[2] as number) * 256 + (bytes[3] as number);
	if (bytes.length < 4 + length) return undefined;
	const rest = cutUp(bytes.slice(4 + length));
	const first = {
		code: (bytes[0] as number) * 256 + (bytes[1] as number),
		value: bytes.slice(4, 4 + length),
	};
	return rest && [first, ...rest];
}

function number(bytes: Uint8Array, at: number): number {
	return Buffer.from(bytes).readUInt32BE(at);
}
