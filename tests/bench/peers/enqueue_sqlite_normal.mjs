// better-sqlite3 with NORMAL: a committed write survives the process, and not a loss of power.

import { serveQueue } from './sqlite_queue.mjs';

await serveQueue('NORMAL');
