// better-sqlite3 with FULL: a committed write is on disk.

import { serveQueue } from './sqlite_queue.mjs';

await serveQueue('FULL');
