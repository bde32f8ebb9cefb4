// All writes are sent at once.

import { contend } from './drain.mjs';

await contend((socket, writes) => Promise.all(writes.map((write) => socket.emitWithAck('push', write))));
