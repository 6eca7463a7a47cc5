/** Entry of the forwarder's thread. */
import { workerData } from 'node:worker_threads';
import type { ForwarderSetup } from '../messages.js';
import { Forwarder } from './forwarder.js';

new Forwarder(workerData as ForwarderSetup).run();
