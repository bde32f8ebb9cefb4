// Yjs: a map of maps, so that fields merge one by one. The client sends its state vector and gets one update, as the
// two steps of its sync protocol do.

import WebSocket, { WebSocketServer } from 'ws';
import * as Y from 'yjs';

import { contend, documentOf, DOCUMENTS, idOf } from './apply.mjs';

async function start() {
  const doc = new Y.Doc();
  const notes = doc.getMap('notes');
  doc.transact(() => {
    for (let number = 0; number < DOCUMENTS; number += 1) {
      notes.set(idOf(number), new Y.Map(Object.entries(documentOf(number))));
    }
  });
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', (socket) => {
    socket.on('message', (vector) => socket.send(Y.encodeStateAsUpdate(doc, vector)));
  });
  await new Promise((listening) => server.once('listening', listening));
  return `ws://127.0.0.1:${server.address().port}`;
}

async function pull(url, seen) {
  const doc = new Y.Doc();
  const notes = doc.getMap('notes');
  notes.observe(seen);
  const socket = new WebSocket(url);
  socket.binaryType = 'nodebuffer';
  await new Promise((open) => socket.once('open', open));
  socket.send(Y.encodeStateVector(doc));
  const update = await new Promise((message) => socket.once('message', message));
  Y.applyUpdate(doc, update);
  return notes.size;
}

await contend(import.meta.filename, { start, pull });
