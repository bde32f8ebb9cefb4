// node server.js: settings come from the environment, see README.md.

import { createServer } from 'node:http';

import { Server } from 'socket.io';
import * as msgpackParser from 'socket.io-msgpack-parser';

import { addBackend } from './backend.js';
import { MemoryStore } from './sync/memory-store.js';
import { PostgresStore } from './sync/postgres-store.js';

const { SECRET, PORT = '3000', HOST = '127.0.0.1', PARSER, DATABASE_URL, GRACE_MS } = process.env;
if (!SECRET) throw new Error('SECRET is needed: it signs the tokens');

/** As `message_bytes_max` says: Socket.IO's own limit, 1 MB, is less than a document may have. */
const MESSAGE_BYTES_MAX = 8 << 20;

const store = DATABASE_URL ? await PostgresStore.open(DATABASE_URL) : new MemoryStore();
const http = createServer();
const io = new Server(http, {
  maxHttpBufferSize: MESSAGE_BYTES_MAX,
  ...(PARSER === 'msgpack' ? { parser: msgpackParser } : {}),
});
addBackend(io, { secret: SECRET, store, graceMs: GRACE_MS === undefined ? undefined : Number(GRACE_MS) });
http.listen(Number(PORT), HOST, () => console.log(`listening on http://${HOST}:${http.address().port}`));

async function stop() {
  await io.close();
  await store.close();
  process.exit(0);
}
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
