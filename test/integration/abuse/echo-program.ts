/** Answers every datagram on port 7 (RFC 862) of all addresses, until it is ended. Run as a program in a namespace. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

for (const type of ['udp4', 'udp6'] as const) {
	const socket = createSocket({ type, ipv6Only: type === 'udp6' });
	socket.on('message', (message, { port, address }) => socket.send(message, port, address));
	socket.on('error', () => undefined);
	socket.bind(7);
	await once(socket, 'listening');
}
process.stdout.write('ready\n');
