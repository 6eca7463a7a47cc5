/** As much of SVG as the plots need. Pure. */

export type Attributes = Readonly<Record<string, string | number>>;

/** @param content elements, already written, or text that is yet to be made safe by `text`. */
export function element(
	name: string,
	attributes: Attributes,
	content: readonly string[] | string = [],
): string {
	const words = Object.entries(attributes).map(([key, value]) => ` ${key}="${safe(written(value))}"`);
	const inside = typeof content === 'string' ? safe(content) : content.join('');
	return inside === '' ? `<${name}${words.join('')}/>` : `<${name}${words.join('')}>${inside}</${name}>\n`;
}

/** A whole picture, on white: it is looked at on dark pages, too. */
export function picture(width: number, height: number, title: string, content: readonly string[]): string {
	return element(
		'svg',
		{
			xmlns: 'http://www.w3.org/2000/svg',
			viewBox: `0 0 ${written(width)} ${written(height)}`,
			width,
			height,
			role: 'img',
			'font-family': "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
			'font-size': 11,
		},
		[
			`\n${element('title', {}, title)}`,
			`${element('rect', { width: '100%', height: '100%', rx: 6, fill: '#ffffff' })}\n`,
			...content,
		],
	);
}

/** Pixels to a tenth: finer than anybody sees. */
function written(value: string | number): string {
	return typeof value === 'number' ? String(Math.round(value * 10) / 10) : value;
}

function safe(text: string): string {
	return text
		.replaceAll('&', '&amp;')
		.replaceAll('<', '&lt;')
		.replaceAll('>', '&gt;')
		.replaceAll('"', '&quot;');
}
