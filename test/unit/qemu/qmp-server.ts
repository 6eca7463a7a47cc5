/** A server on a real socket that says what QEMU says, or what QEMU would never say. */
import { createServer, type Socket } from 'node:net';

export const greeting =
	'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 9}, "package": ""}, "capabilities": []}}\r\n';

export interface Command {
	execute: string;
	arguments?: { id?: string; fdname?: string; property?: string };
	id: string;
}

/** Says what the server replies to a command; nothing for an empty string. */
export type Answer = (command: Command, socket: Socket) => string;

export const done = ({ id }: Command): string => `{"return": {}, "id": "${id}"}`;
export const value =
	(returned: unknown) =>
	({ id }: Command): string =>
		JSON.stringify({ return: returned, id });
export const refusal =
	(errorClass: string, desc: string) =>
	({ id }: Command): string =>
		JSON.stringify({ error: { class: errorClass, desc }, id });

/** QEMU's readiness, then what the test wants. */
export const after =
	(answer: Answer): Answer =>
	(command, socket) =>
		command.execute === 'qmp_capabilities' ? done(command) : answer(command, socket);

/** Runs `body` while a server at `path` says `first` to whoever connects, and answers commands. */
export async function serve(
	path: string,
	first: string,
	answer: Answer,
	body: (path: string) => Promise<void>,
): Promise<void> {
	const sockets = new Set<Socket>();
	const server = createServer(socket => {
		sockets.add(socket);
		socket.on('error', () => {});
		socket.write(first);
		socket.on('data', bytes => {
			for (const line of bytes.toString().split('\n').filter(Boolean)) {
				const reply = answer(JSON.parse(line) as Command, socket);
				if (reply !== '' && !socket.destroyed) socket.write(`${reply}\r\n`);
			}
		});
	});
	await new Promise<void>(resolve => server.listen(path, resolve));
	try {
		await body(path);
	} finally {
		for (const socket of sockets) socket.destroy();
		await new Promise(resolve => server.close(resolve));
	}
}
