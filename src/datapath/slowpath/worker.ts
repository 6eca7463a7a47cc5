/** Entry of the slow path's thread. */
import { workerData } from 'node:worker_threads';
import type { SlowPathSetup } from '../messages.js';
import { SlowPath } from './slowpath.js';

new SlowPath(workerData as SlowPathSetup).run();
