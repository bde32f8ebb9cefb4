// Automerge: a map of maps with plain strings, by its sync protocol.

import * as Automerge from '@automerge/automerge';
import WebSocket, { WebSocketServer } from 'ws';

import { contend, documentOf, DOCUMENTS, idOf } from './apply.mjs';

function plain({ text, ...fields }) {
  return { ...fields, text: new Automerge.ImmutableString(text) };
}

async function start() {
  const entries = Array.from({ length: DOCUMENTS }, (_, number) => [idOf(number), plain(documentOf(number))]);
  let doc = Automerge.from({ notes: Object.fromEntries(entries) });
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', (socket) => {
    let state = Automerge.initSyncState();
    socket.on('message', (message) => {
      [doc, state] = Automerge.receiveSyncMessage(doc, state, message);
      let answer;
      [state, answer] = Automerge.generateSyncMessage(doc, state);
      if (answer) {
        socket.send(answer);
      }
    });
  });
  await new Promise((listening) => server.once('listening', listening));
  return `ws://127.0.0.1:${server.address().port}`;
}

async function pull(url, seen) {
  let doc = Automerge.init();
  let state = Automerge.initSyncState();
  const socket = new WebSocket(url);
  await new Promise((open) => socket.once('open', open));
  const count = () => Object.keys(doc.notes ?? {}).length;
  return new Promise((done) => {
    const say = () => {
      let message;
      [state, message] = Automerge.generateSyncMessage(doc, state);
      if (message) {
        socket.send(message);
      }
    };
    socket.on('message', (message) => {
      [doc, state] = Automerge.receiveSyncMessage(doc, state, message);
      if (doc.notes) {
        seen();
      }
      if (count() === DOCUMENTS) {
        done(count());
      } else {
        say();
      }
    });
    say();
  });
}

await contend(import.meta.filename, { start, pull });
