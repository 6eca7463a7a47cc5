import { type Permission, permissions } from './model.js';

/** What a slave is allowed, as its record has it: each once, in one order, and nothing where it is nothing. */
export function permitted(wanted: readonly Permission[] = []): { allow?: Permission[] } {
	const allow = permissions.filter(one => wanted.includes(one));
	return allow.length > 0 ? { allow } : {};
}
