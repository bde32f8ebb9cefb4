// TinyBase: a mergeable store with a row per document, as a persister sends and sets it: its content as JSON. The
// synchronizer, which compares both sides first, takes minutes for so many rows.

import { createMergeableStore } from 'tinybase';
import WebSocket, { WebSocketServer } from 'ws';

import { contend, documentOf, DOCUMENTS, idOf } from './apply.mjs';

async function start() {
  const store = createMergeableStore('source');
  store.transaction(() => {
    for (let number = 0; number < DOCUMENTS; number += 1) {
      store.setRow('notes', idOf(number), documentOf(number));
    }
  });
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', (socket) => {
    socket.on('message', () => socket.send(JSON.stringify(store.getMergeableContent())));
  });
  await new Promise((listening) => server.once('listening', listening));
  return `ws://127.0.0.1:${server.address().port}`;
}

async function pull(url, seen) {
  const store = createMergeableStore('client');
  store.addRowIdsListener('notes', seen);
  const socket = new WebSocket(url);
  await new Promise((open) => socket.once('open', open));
  socket.send('all');
  const content = await new Promise((message) => socket.once('message', message));
  store.setMergeableContent(JSON.parse(content));
  return store.getRowCount('notes');
}

await contend(import.meta.filename, { start, pull });
