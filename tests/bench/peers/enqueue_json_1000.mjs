import { serveQueue } from './json_queue.mjs';

await serveQueue(1000);
