/** `npm run oracle`: asks the kernel and writes its answers into docs/modes.md. */
import { consult } from './consult.js';
import { commitTable } from './document.js';

const { table, unexplained, stale } = await consult();
commitTable(table);
for (const sentence of unexplained) process.stderr.write(`nobody wrote down: ${sentence}\n`);
for (const sentence of stale) process.stderr.write(`differs no more: ${sentence}\n`);
process.exitCode = unexplained.length + stale.length > 0 ? 1 : 0;
