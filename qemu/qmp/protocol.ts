/**
 * The QEMU Machine Protocol's lines (docs/interop/qmp-spec.rst): each is one JSON object that ends in `\n`,
 * QEMU's in `\r\n`. Pure: bytes in, messages out. Everything that arrives is held to be hostile until it has been
 * parsed here.
 */
import { z } from 'zod';

/** Longest line that is listened to, in bytes. QEMU 7.2's longest, `query-qmp-schema`, has 207 000. */
export const lineBytesMax = 1 << 20;

export type QmpMessage =
	| { kind: 'greeting'; version: string }
	| { kind: 'return'; id: unknown; value: unknown }
	| { kind: 'error'; id: unknown; errorClass: string; description: string }
	| QmpEvent;

export interface QmpEvent {
	kind: 'event';
	event: string;
	data: Readonly<Record<string, unknown>>;
}

/** The bytes were no QMP. The message is a half-sentence that fits behind "not QMP: ". */
export class ProtocolError extends Error {
	override readonly name = 'ProtocolError';
}

/** Cuts a stream of bytes into lines. What it holds is bounded by `lineBytesMax` and one chunk. */
export class LineReader {
	#held: Buffer[] = [];
	#heldBytes = 0;

	/** @throws ProtocolError when a line is too long; the reader must not be used any more then. */
	push(chunk: Buffer): string[] {
		const lines: string[] = [];
		let start = 0;
		for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
			this.#hold(chunk.subarray(start, end));
			lines.push(Buffer.concat(this.#held).toString());
			this.#held = [];
			this.#heldBytes = 0;
			start = end + 1;
		}
		this.#hold(chunk.subarray(start));
		return lines;
	}

	/** The beginning of the unfinished line, if there is one: for telling early that this is no QMP. */
	get unfinished(): string {
		return Buffer.concat(this.#held.slice(0, 80)).subarray(0, 80).toString();
	}

	#hold(bytes: Buffer): void {
		this.#heldBytes += bytes.length;
		if (this.#heldBytes > lineBytesMax) throw new ProtocolError(`a line of more than ${lineBytesMax} bytes`);
		if (bytes.length > 0) this.#held.push(bytes);
	}
}

/** @returns undefined for a blank line. @throws ProtocolError for anything that isn't one of QMP's messages. */
export function parseMessage(line: string): QmpMessage | undefined {
	if (line.trim() === '') return undefined;
	const parsed = messageSchema.safeParse(parseJson(line));
	if (!parsed.success) throw new ProtocolError(`it says ${excerpt(line)}`);
	const message = parsed.data;
	if ('QMP' in message) {
		const { major, minor, micro } = message.QMP.version.qemu;
		return { kind: 'greeting', version: `${major}.${minor}.${micro}` };
	}
	if ('event' in message) return { kind: 'event', event: message.event, data: message.data ?? {} };
	if ('error' in message) {
		const { class: errorClass, desc: description } = message.error;
		return { kind: 'error', id: message.id, errorClass, description };
	}
	return { kind: 'return', id: message.id, value: message.return };
}

/** A command as it goes over the wire; `id` comes back with the reply. */
export function formatCommand(
	command: string,
	args: Record<string, unknown> | undefined,
	id: string,
): Buffer {
	return Buffer.from(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
}

/** The first characters of what somebody said, fit for a message on one line. */
export function excerpt(text: string): string {
	const head = text.trim().slice(0, 60);
	return JSON.stringify(head.length < text.trim().length ? `${head}…` : head);
}

function parseJson(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		throw new ProtocolError(`it says ${excerpt(line)}`);
	}
}

const version = z.number().int().nonnegative();
const greetingSchema = z.object({
	QMP: z.object({
		version: z.object({ qemu: z.object({ major: version, minor: version, micro: version }) }),
		capabilities: z.array(z.unknown()),
	}),
});
const eventSchema = z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).optional() });
/** QEMU gives back whatever the command had for an id, and none where it couldn't read the command. */
const id = z.unknown().optional();
const errorSchema = z.object({ error: z.object({ class: z.string(), desc: z.string() }), id });
const returnSchema = z.object({ return: z.unknown(), id });
const messageSchema = z.union([greetingSchema, eventSchema, errorSchema, returnSchema]);

const newline = 0x0a;
