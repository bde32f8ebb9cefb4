// TinyBase: a mergeable store with a row per document, by its WebSocket synchronizer. Its server passes messages on, so
// the documents are in a client of their own.

import { createMergeableStore } from 'tinybase';
import { createWsSynchronizer } from 'tinybase/synchronizers/synchronizer-ws-client';
import { createWsServer } from 'tinybase/synchronizers/synchronizer-ws-server';
import WebSocket, { WebSocketServer } from 'ws';

import { contend, documentOf, DOCUMENTS, idOf } from './apply.mjs';

/** The default. The source asks the others first, and there are none. */
const SOURCE_TIMEOUT_S = 1;
/** The default is not enough for so many rows. */
const CLIENT_TIMEOUT_S = 60;

async function connected(store, url, timeout) {
  const socket = new WebSocket(`${url}/notes`, { maxPayload: 1 << 30 });
  const synchronizer = await createWsSynchronizer(store, socket, timeout);
  await synchronizer.startSync();
}

async function start() {
  const sockets = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 1 << 30 });
  await new Promise((listening) => sockets.once('listening', listening));
  createWsServer(sockets);
  const url = `ws://127.0.0.1:${sockets.address().port}`;
  const store = createMergeableStore('source');
  store.transaction(() => {
    for (let number = 0; number < DOCUMENTS; number += 1) {
      store.setRow('notes', idOf(number), documentOf(number));
    }
  });
  await connected(store, url, SOURCE_TIMEOUT_S);
  return url;
}

async function pull(url, seen) {
  const store = createMergeableStore('client');
  const complete = new Promise((done) => {
    store.addRowIdsListener('notes', () => {
      seen();
      if (store.getRowCount('notes') === DOCUMENTS) {
        done(DOCUMENTS);
      }
    });
  });
  await connected(store, url, CLIENT_TIMEOUT_S);
  return complete;
}

await contend(import.meta.filename, { start, pull });
