// Each write is sent when the one before is answered.

import { contend } from './drain.mjs';

await contend(async (socket, writes) => {
  for (const write of writes) {
    await socket.emitWithAck('push', write);
  }
});
