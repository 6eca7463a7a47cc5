/** The API: each route checks who asks and what is said, and hands over to the controller. */
import { obeyHook, readHookCall } from '../../../qemu/libvirt/hook.js';
import { limits } from '../../config.js';
import type { AttachRequest, Controller } from '../controller.js';
import type { Info, Permission } from '../model.js';
import { trace } from '../trace/tracer.js';
import { userId } from '../users.js';
import { type Actor, requireOwner, requirePrivilege } from './access.js';
import { metrics, metricsType } from './metrics.js';
import { masterBody, masterChange, parseBody, slaveBody, slaveChange, traceBody } from './schema.js';
import type { ApiRequest, ApiResponse, Route } from './server.js';

export function apiRoutes(controller: Controller, info: () => Info): Route[] {
	const { registry } = controller;
	return [
		{ method: 'GET', path: '/v1/info', handle: () => ({ body: info() }) },
		{ method: 'GET', path: '/v1/masters', handle: () => ({ body: controller.listing().masters }) },
		{ method: 'GET', path: '/v1/slaves', handle: () => ({ body: controller.listing().slaves }) },
		{ method: 'GET', path: '/v1/list', handle: () => ({ body: controller.listing() }) },
		{ method: 'GET', path: '/v1/stats', handle: () => ({ body: controller.statistics() }) },
		{
			method: 'GET',
			path: '/metrics',
			handle: () => ({ body: metrics(controller.listing()), type: metricsType }),
		},
		{
			method: 'POST',
			path: '/v1/trace',
			handle: ({ body }) => ({
				body: trace(registry, controller.estate, given(parseBody(traceBody, body)), Date.now()),
			}),
		},
		{ method: 'GET', path: '/v1/masters/:name', handle: ({ name }) => ({ body: controller.master(name) }) },
		{ method: 'GET', path: '/v1/slaves/:name', handle: ({ name }) => ({ body: controller.slave(name) }) },
		{
			method: 'PUT',
			path: '/v1/masters/:name',
			handle: async ({ name, body, actor }) => {
				const options = parseBody(masterBody, body);
				requirePrivilege(actor, `bring ${name} up as a master`);
				const { master, created } = await controller.up(name, given(options));
				return { status: created ? 201 : 200, body: master };
			},
		},
		{
			method: 'PATCH',
			path: '/v1/masters/:name',
			handle: async ({ name, body, actor }) => {
				const change = parseBody(masterChange, body);
				requirePrivilege(actor, `change the master ${name}`);
				return { body: await controller.setMaster(name, given(change)) };
			},
		},
		{
			method: 'DELETE',
			path: '/v1/masters/:name',
			handle: async ({ name, query, actor }) => {
				requirePrivilege(actor, `take the master ${name} down`);
				const slaves = await controller.down(name, query.get('force') === 'true');
				return { body: { name, removed: true, slaves } };
			},
		},
		{
			method: 'PUT',
			path: '/v1/slaves/:name',
			handle: request => attach(controller, request),
		},
		{
			method: 'PATCH',
			path: '/v1/slaves/:name',
			handle: async ({ name, body, actor }) => {
				const { alias, ...change } = given(parseBody(slaveChange, body));
				const slave = registry.requireSlave(name);
				requireOwner(actor, slave.owner, `change the slave '${name}'`);
				requireAllowed(actor, name, change.allow, slave.allow);
				if (alias !== undefined) {
					await controller.change(async () => controller.domains.nameNic(name, alias));
					return { body: controller.slave(name) };
				}
				return { body: await controller.setSlave(name, change) };
			},
		},
		{
			method: 'DELETE',
			path: '/v1/slaves/:name',
			handle: async ({ name, actor }) => {
				const kept = !registry.slave(name) && registry.remembering(name);
				const owner = kept ? 0 : registry.requireSlave(name).owner;
				requireOwner(actor, owner, `detach the slave '${name}'`);
				await controller.detach(name);
				return { body: { name, removed: true } };
			},
		},
		{
			method: 'POST',
			path: '/v1/libvirt',
			textBytes: limits.domainXmlBytes,
			handle: async ({ body, actor }) => {
				requirePrivilege(actor, 'speak for libvirt');
				const told = readHookCall(String(body));
				await controller.change(() => obeyHook(controller.domains, told));
				return { body: '', type: 'text/plain' };
			},
		},
	];
}

async function attach(
	controller: Controller,
	{ name, body, actor, isGone }: ApiRequest,
): Promise<ApiResponse> {
	const { owner: user, ...wanted } = given(parseBody(slaveBody, body));
	const owner = user === undefined ? actor.uid : await userId(String(user));
	requireOwner(actor, owner, `give the slave '${name}' to somebody else`);
	requireAllowed(actor, name, wanted.allow);
	if (wanted.domain) requirePrivilege(actor, `plug anything into the domain '${wanted.domain.name}'`);
	const request: AttachRequest = { ...wanted, name, owner };
	const slave = await controller.attach(request, master =>
		requirePrivilege(actor, `bring ${master} up as a master`),
	);
	// Its `run` was ended meanwhile, and whoever ends one may want the name and the addresses again at once.
	if (slave.ephemeral && isGone()) await controller.detach(name);
	return { status: 201, body: slave };
}

/** Who answers DHCP, or says that it is the router, decides for the whole LAN. @throws IpvtapError `permission`. */
function requireAllowed(
	actor: Actor,
	name: string,
	wanted: readonly Permission[] = [],
	had: readonly Permission[] = [],
): void {
	const more = wanted.filter(one => !had.includes(one));
	if (more.length > 0) requirePrivilege(actor, `allow the slave '${name}' to be a ${more.join(' or ')}`);
}

/** Without the keys that zod leaves in as undefined. */
function given<T extends object>(body: T): { [K in keyof T]: Exclude<T[K], undefined> } {
	return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as {
		[K in keyof T]: Exclude<T[K], undefined>;
	};
}
