/**
 * A small reader for the XML that libvirt writes: elements, attributes, text, namespaces. The hook runs for every
 * start of every domain, and libvirt waits for it, so a general parser's start-up time is not for it. What libvirt
 * never writes is refused: document types, and with them entities of one's own. Pure.
 */
import { IpvtapError } from '../../src/errors.js';

export interface XmlElement {
	/** As written, with the prefix: `ipvtap:nic`. */
	qualified: string;
	/** Without the prefix: `nic`. */
	name: string;
	/** What the prefix stands for, or '' without a namespace. */
	namespace: string;
	/** By their names as written; declarations of namespaces are not among them. */
	attributes: Map<string, string>;
	children: XmlElement[];
	/** Its own text, that of its children left out. */
	text: string;
	/** `/domain/devices/interface[2]`: counted from 1, where there are several of a name. */
	path: string;
}

/** @returns the root element. @throws IpvtapError `failed` that says where the text isn't well-formed. */
export function parseXml(text: string): XmlElement {
	const root: Open = { element: blank('', '', ''), scope: new Map([['', '']]), raw: '' };
	const open = [root];
	let at = 0;
	while (at < text.length) {
		const inner = open.at(-1)!;
		const next = text.indexOf('<', at);
		const end = next < 0 ? text.length : next;
		inner.raw += text.slice(at, end);
		if (next < 0) break;
		at = markup(text, end, open);
	}
	const [first, ...others] = root.element.children;
	if (open.length > 1) throw broken(text, text.length, `<${open.at(-1)!.element.qualified}> is not closed`);
	if (!first || others.length > 0 || root.raw.trim() !== '')
		throw broken(text, text.length, 'it is not one element');
	number(first, '');
	return first;
}

/** The children of a name, in no namespace unless one is given. */
export function childrenOf(element: XmlElement | undefined, name: string, namespace = ''): XmlElement[] {
	return element?.children.filter(child => child.name === name && child.namespace === namespace) ?? [];
}

export function childOf(element: XmlElement | undefined, name: string): XmlElement | undefined {
	return childrenOf(element, name)[0];
}

interface Open {
	element: XmlElement;
	/** Namespaces by prefix. */
	scope: Map<string, string>;
	/** Text, its references not yet replaced. */
	raw: string;
}

/** Takes what begins with `<` at `at`. @returns where it ends. */
function markup(text: string, at: number, open: Open[]): number {
	if (text.startsWith('<!--', at)) return after(text, at, '-->');
	if (text.startsWith('<?', at)) return after(text, at, '?>');
	if (text.startsWith('<![CDATA[', at)) {
		const end = after(text, at, ']]>');
		open.at(-1)!.raw += text.slice(at + 9, end - 3).replaceAll('&', '&amp;');
		return end;
	}
	return text[at + 1] === '/' ? closeTag(text, at, open) : openTag(text, at, open);
}

function after(text: string, at: number, end: string): number {
	const found = text.indexOf(end, at);
	if (found < 0) throw broken(text, at, `'${end}' is missing`);
	return found + end.length;
}

function closeTag(text: string, at: number, open: Open[]): number {
	const end = after(text, at, '>');
	const name = text.slice(at + 2, end - 1).trimEnd();
	if (open.length === 1 || open.at(-1)!.element.qualified !== name)
		throw broken(text, at, `</${name}> closes nothing`);
	const { element, raw } = open.pop()!;
	element.text = decode(raw, text, at);
	return end;
}

function openTag(text: string, at: number, open: Open[]): number {
	tag.lastIndex = at;
	const match = tag.exec(text);
	if (!match) throw broken(text, at, "'<' begins no element");
	const [whole, qualified = '', list = '', closed] = match;
	const outer = open.at(-1)!;
	const { attributes, scope } = readAttributes(list, outer.scope, text, at);
	const colon = qualified.indexOf(':');
	const namespace = scope.get(qualified.slice(0, Math.max(colon, 0)));
	if (namespace === undefined) throw broken(text, at, `the prefix of <${qualified}> is not declared`);
	const element = blank(qualified, qualified.slice(colon + 1), namespace);
	element.attributes = attributes;
	outer.element.children.push(element);
	if (closed === '') open.push({ element, scope, raw: '' });
	if (open.length > deepest) throw broken(text, at, `more than ${deepest} elements within each other`);
	return at + whole.length;
}

function readAttributes(
	list: string,
	outer: Map<string, string>,
	text: string,
	at: number,
): Pick<Open, 'scope'> & { attributes: Map<string, string> } {
	const attributes = new Map<string, string>();
	let scope = outer;
	for (const [, name = '', double, single] of list.matchAll(attribute)) {
		const value = decode(double ?? single ?? '', text, at);
		if (name === 'xmlns' || name.startsWith('xmlns:')) {
			if (scope === outer) scope = new Map(outer);
			scope.set(name.slice(6), value);
		} else if (attributes.has(name)) {
			throw broken(text, at, `the attribute ${name} is there twice`);
		} else {
			attributes.set(name, value);
		}
	}
	return { attributes, scope };
}

/** A number behind the name, where siblings have the same. */
function number(element: XmlElement, above: string, suffix = ''): void {
	element.path = `${above}/${element.qualified}${suffix}`;
	const all = new Map<string, number>();
	for (const { qualified } of element.children) all.set(qualified, (all.get(qualified) ?? 0) + 1);
	const seen = new Map<string, number>();
	for (const child of element.children) {
		const index = (seen.get(child.qualified) ?? 0) + 1;
		seen.set(child.qualified, index);
		number(child, element.path, all.get(child.qualified) === 1 ? '' : `[${index}]`);
	}
}

function decode(raw: string, text: string, at: number): string {
	if (!raw.includes('&')) return raw;
	return raw.replace(/&([^;&]{0,10};?)/g, (whole, name: string) => {
		const known = entities.get(name);
		if (known !== undefined) return known;
		const numeric = /^#(?:x([0-9a-f]{1,6})|([0-9]{1,7}));$/i.exec(name);
		const code = numeric?.[1] === undefined ? Number(numeric?.[2]) : Number.parseInt(numeric[1], 16);
		if (!(code > 0 && code <= 0x10ffff)) throw broken(text, at, `${whole} stands for nothing`);
		return String.fromCodePoint(code);
	});
}

function blank(qualified: string, name: string, namespace: string): XmlElement {
	return { qualified, name, namespace, attributes: new Map(), children: [], text: '', path: '' };
}

function broken(text: string, at: number, why: string): IpvtapError {
	const line = text.slice(0, at).split('\n').length;
	return new IpvtapError('failed', `read the domain's XML: line ${line}: ${why}`);
}

const nameCharacters = '[^\\s<>&=/"\'!?]+';
const value = '(?:"[^"<]*"|\'[^\'<]*\')';
const tag = new RegExp(`<(${nameCharacters})((?:\\s+${nameCharacters}\\s*=\\s*${value})*)\\s*(/?)>`, 'y');
const attribute = new RegExp(`\\s(${nameCharacters})\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, 'g');
const entities = new Map([
	['lt;', '<'],
	['gt;', '>'],
	['amp;', '&'],
	['quot;', '"'],
	['apos;', "'"],
]);

/** As libxml2 has it, by which libvirt reads (xmlParserMaxDepth). */
const deepest = 256;
