/** Entry of the slow path's thread. */
import { workerData } from 'node:worker_threads';
import type { SlowPathSetup } from '../messages.js';
import { SlowPathThread } from './thread.js';

new SlowPathThread(workerData as SlowPathSetup).run();
