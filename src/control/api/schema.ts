/** What requests may say. Unknown keys are refused, so that a slip of the pen is never taken for a wish. */
import { z } from 'zod';
import { limits } from '../../config.js';
import { IpvtapError } from '../../errors.js';
import { limitsBody } from '../limits-schema.js';
import { flags, modes, permissions } from '../model.js';
import { quote } from '../names.js';
import { frameTypes } from '../trace/words.js';

const offload = z.string().min(1).max(4096);
/** Seconds; a day is as good as for ever. */
const ageing = z.int().min(1).max(86_400);
const allow = z.array(z.enum(permissions)).max(permissions.length);
const addresses = z.array(z.string().max(100)).max(limits.addressesPerSlave);

/** `PUT /v1/masters/:name`; what is left out has its default, or stays as it is. */
export const masterBody = z.strictObject({
	mode: z.enum(modes).optional(),
	flag: z.enum(flags).optional(),
	offload: offload.optional(),
	host: z.boolean().optional(),
	backlogFrames: z.int().min(1).max(1_000_000).optional(),
	ageing: ageing.optional(),
	multicastSlave: z.string().max(255).optional(),
});

/** `PATCH /v1/masters/:name`. */
export const masterChange = z.strictObject({
	mode: z.enum(modes).optional(),
	flag: z.enum(flags).optional(),
	offload: offload.optional(),
	ageing: ageing.optional(),
	/** null: nobody. */
	multicastSlave: z.string().max(255).nullable().optional(),
});

/**
 * `PUT /v1/slaves/:name`. `master` left out is the one that is up, or the default route's; `owner`, a user's name
 * or number, left out is whoever asks.
 */
export const slaveBody = z.strictObject({
	master: z.string().max(255).optional(),
	addresses: addresses.optional(),
	mac: z.string().max(100).optional(),
	learn: z.boolean().optional(),
	allow: allow.optional(),
	queues: z.int().min(1).max(limits.queues).optional(),
	owner: z.union([z.string().max(255), z.int().min(0)]).optional(),
	ephemeral: z.boolean().optional(),
	limits: limitsBody.optional(),
	rxFilter: z.union([z.string().startsWith('/').max(107), z.literal(true)]).optional(),
	domain: z.strictObject({ name: z.string().min(1).max(255), uuid: z.string().max(36) }).optional(),
});

/**
 * `PATCH /v1/slaves/:name`: either the whole list of static addresses, or what to add and to remove; limits to change;
 * the whole list of what it is allowed; or libvirt's name for the NIC, once it is known.
 */
export const slaveChange = z
	.strictObject({
		addresses: addresses.optional(),
		add: addresses.optional(),
		remove: addresses.optional(),
		limits: limitsBody.optional(),
		allow: allow.optional(),
		alias: z.string().max(255).optional(),
	})
	.refine(change => change.addresses === undefined || (change.add ?? change.remove) === undefined, {
		error: 'addresses excludes add and remove',
	})
	.refine(change => change.alias === undefined || Object.keys(change).length === 1, {
		error: 'alias excludes everything else',
	});

const word = z.string().min(1).max(100);
const port = z.int().min(0).max(65_535);

/** `POST /v1/trace`: who sends, and either the frame in hex or words about it. */
export const traceBody = z.strictObject({
	from: word,
	master: z.string().max(255).optional(),
	frame: z
		.string()
		.max(60_000)
		.regex(/^([0-9a-f]{2})+$/i, 'it is not whole bytes in hex')
		.optional(),
	to: word.optional(),
	source: word.optional(),
	mac: word.optional(),
	nextHop: word.optional(),
	proto: word.optional(),
	type: z.enum(frameTypes).optional(),
	sport: port.optional(),
	dport: port.optional(),
	ttl: z.int().min(0).max(255).optional(),
});

/** @throws IpvtapError `usage` that names the first field at fault. */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
	const parsed = schema.safeParse(body);
	if (parsed.success) return parsed.data;
	const [issue] = parsed.error.issues;
	const where = issue?.path.length ? issue.path.join('.') : 'the body';
	throw new IpvtapError('usage', `bad request: ${where}: ${issue ? describe(issue) : 'not valid'}`, {
		hint: 'the fields of each request are in docs/cli.md, "The API"',
	});
}

function describe(issue: z.core.$ZodIssue): string {
	if (issue.code === 'unrecognized_keys') return `unknown ${issue.keys.map(quote).join(', ')}`;
	return issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
}
