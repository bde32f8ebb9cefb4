// Sync in this process, where a test holds both ends: what `addSync` returns, and peers of npm's socket.io-client.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { Server } from 'socket.io';
import { io } from 'socket.io-client';

import { MemoryStore } from '../../../examples/socketio-backend/sync/memory-store.js';
import { PostgresStore } from '../../../examples/socketio-backend/sync/postgres-store.js';

const { SYNCLINE_POSTGRES_URL } = process.env;
if (SYNCLINE_POSTGRES_URL === undefined) {
  throw new Error('SYNCLINE_POSTGRES_URL is not set: run scripts/test conformance');
}

/** How long a peer waits for an answer. */
const ANSWER_MS_MAX = 10_000;

export const STORES = [
  { name: 'in memory', open: async () => new MemoryStore() },
  { name: 'in Postgres', open: () => PostgresStore.open(SYNCLINE_POSTGRES_URL) },
];
export const [IN_MEMORY] = STORES;

/** Starts a server; `add(io, store)` adds what is tested to it. All of it is gone when the test ends. */
export async function startHost(test, { open }, add) {
  const http = createServer();
  const server = new Server(http);
  const store = await open();
  const added = add(server, store);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  test.after(async () => {
    await server.close();
    await store.close();
  });
  const url = `http://127.0.0.1:${http.address().port}`;

  /** A peer whose handshake says `auth`; resolves when it is connected. */
  async function peer(auth) {
    const socket = io(url, {
      auth,
      reconnection: false,
      forceNew: true,
      ackTimeout: ANSWER_MS_MAX,
      retries: 0,
    });
    test.after(() => socket.disconnect());
    await new Promise((resolve, reject) => socket.on('connect', resolve).on('connect_error', reject));
    return socket;
  }

  return { server, store, added, url, peer };
}

/** What a server without tokens of its own gives to `addSync`: everybody is who they say, and may use every room. */
export const OPEN_DOOR = { userOf: (socket) => socket.handshake.auth.user, allows: () => true };
