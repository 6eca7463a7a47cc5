import test from 'ava';
import fc from 'fast-check';
import { parseXml, type XmlElement } from '../../../../qemu/libvirt/xml.js';

test('elements, attributes, text, references', t => {
	const root = parseXml(`<?xml version='1.0'?><!-- a < b -->
<a x="1 &lt; 2" y='&quot;&#65;&#x42;'>one &amp; <b/>two<![CDATA[<&amp;>]]></a >
`);
	t.is(root.qualified, 'a');
	t.deepEqual(
		[...root.attributes],
		[
			['x', '1 < 2'],
			['y', '"AB'],
		],
	);
	t.is(root.text, 'one & two<&amp;>');
	t.deepEqual(
		root.children.map(({ path }) => path),
		['/a/b'],
	);
});

test('paths count where there are several of a name', t => {
	const paths = (element: XmlElement): string[] => [element.path, ...element.children.flatMap(paths)];
	t.deepEqual(paths(parseXml('<a><b/><c><d/></c><b><d/></b></a>')), [
		'/a',
		'/a/b[1]',
		'/a/c',
		'/a/c/d',
		'/a/b[2]',
		'/a/b[2]/d',
	]);
});

test('namespaces: by prefix, by default, and until their element ends', t => {
	const root = parseXml(`<a xmlns:p='urn:p'><p:b p:x='1'><c/></p:b><d xmlns='urn:d'><e/></d><f/></a>`);
	const all = (element: XmlElement): [string, string][] => [
		[element.name, element.namespace],
		...element.children.flatMap(all),
	];
	t.deepEqual(all(root), [
		['a', ''],
		['b', 'urn:p'],
		['c', ''],
		['d', 'urn:d'],
		['e', 'urn:d'],
		['f', ''],
	]);
	t.deepEqual([...root.children[0]!.attributes], [['p:x', '1']]);
});

for (const [text, why] of [
	['', /it is not one element/],
	['<a/><b/>', /it is not one element/],
	['<a/>text', /it is not one element/],
	['<a>', /line 1: <a> is not closed/],
	['<a>\n</b>', /line 2: <\/b> closes nothing/],
	['</a>', /closes nothing/],
	['<a', /'<' begins no element/],
	['<a x=1/>', /begins no element/],
	["<a x='1' x='2'/>", /the attribute x is there twice/],
	['<p:a/>', /the prefix of <p:a> is not declared/],
	['<a>&lol;</a>', /&lol; stands for nothing/],
	['<a>&#0;</a>', /stands for nothing/],
	['<!DOCTYPE a [<!ENTITY b "c">]><a/>', /begins no element/],
	['<a><!-- </a>', /'-->' is missing/],
	['<a>&toString</a>', /stands for nothing/],
	['<a>'.repeat(100_000), /line 1: more than 256 elements within each other/],
] as const) {
	test(`refused: ${JSON.stringify(text.slice(0, 40))}`, t => {
		const error = t.throws(() => parseXml(text));
		t.regex(error?.message ?? '', why);
	});
}

test('ever so many children are numbered in one go', t => {
	const names = Array.from({ length: 100_000 }, (_, index) => `<a${index}/>`);
	t.is(parseXml(`<a>${names.join('')}</a>`).children.at(-1)?.path, '/a/a99999');
});

test('whatever text and attributes hold, they come back', t => {
	const escaped = (text: string) => text.replace(/[&<>'"]/g, character => `&#${character.charCodeAt(0)};`);
	const text = fc.string({ unit: fc.constantFrom(...'ab &<>\'"\n;#x]é') });
	fc.assert(
		fc.property(text, text, (inner, value) => {
			const root = parseXml(`<a><b x='${escaped(value)}'>${escaped(inner)}</b></a>`);
			return root.children[0]?.text === inner && root.children[0].attributes.get('x') === value;
		}),
	);
	t.pass();
});

test('no text makes it hang or throw anything but its own error', t => {
	const piece = fc.constantFrom(
		'<',
		'>',
		'</',
		'/>',
		'a',
		':',
		'=',
		"'",
		'"',
		' ',
		'&',
		';',
		'<!--',
		'-->',
		'<![CDATA[',
		']]>',
		'<?',
		'?>',
		'\n',
	);
	fc.assert(
		fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
			try {
				parseXml(pieces.join(''));
			} catch (error) {
				return (error as Error).message.startsWith("read the domain's XML: line ");
			}
			return true;
		}),
	);
	t.pass();
});
