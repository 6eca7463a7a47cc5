import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with package.json; this file runs from `dist`, whose depth is the build's business. */
export const projectFolder = find(dirname(fileURLToPath(import.meta.url)));

function find(folder: string): string {
	return existsSync(join(folder, 'package.json')) || folder === dirname(folder)
		? folder
		: find(dirname(folder));
}
