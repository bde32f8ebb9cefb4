// What the peers of `drain` share: the writes, an npm socket.io server, and a connected npm socket.io-client.

import { operationsOf, serve } from './contender.mjs';
import { connect, startServer } from './socketio_client.mjs';

/** Fills the document up to 206 bytes of JSON. */
const TEXT = 'x'.repeat(164);

/** A document as large as Syncline's. */
export function writeOf(number) {
  return {
    client_seq: number,
    room: 'list:bench',
    collection: 'notes',
    id: `018bcfe5-687b-7000-8000-${String(number).padStart(12, '0')}`,
    fields: { done: false, position: number, text: TEXT },
  };
}

/** Runs a contender: `drain(socket, writes)` sends all writes of a sample, and resolves when all are answered. */
export async function contend(drain) {
  const url = await startServer('msgpack');
  await serve(async ({ samples, work }) => {
    const values = [];
    for (let sample = 0; sample < samples; sample += 1) {
      const writes = Array.from({ length: operationsOf(work) }, (_, number) => writeOf(number));
      const socket = await connect(url, 'msgpack');
      const begin = performance.now();
      await drain(socket, writes);
      values.push(performance.now() - begin);
      socket.disconnect();
    }
    return values;
  });
}
