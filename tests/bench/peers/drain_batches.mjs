// The writes are sent in batches of 500, each when the one before is answered.

import { contend } from './drain.mjs';

const BATCH = 500;

await contend(async (socket, writes) => {
  for (let first = 0; first < writes.length; first += BATCH) {
    await socket.emitWithAck('push', writes.slice(first, first + BATCH));
  }
});
