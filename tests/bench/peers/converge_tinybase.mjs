// TinyBase: two mergeable stores, by a synchronizer that hands its messages over as JSON.

import { isDeepStrictEqual } from 'node:util';

import { createMergeableStore } from 'tinybase';
import { createCustomSynchronizer } from 'tinybase/synchronizers';

import { operationsOf, serve } from './contender.mjs';
import { documentName, DOCUMENTS, editsOf, emptyFields, inTurn } from './edits.mjs';

const REQUEST_TIMEOUT_S = 60;

async function sample(operations) {
  const stores = ['first', 'second'].map((name) => createMergeableStore(name));
  const [first, second] = stores;
  first.transaction(() => {
    for (let document = 0; document < DOCUMENTS; document += 1) {
      first.setRow('notes', documentName(document), emptyFields());
    }
  });
  first.merge(second);
  stores.forEach((store, index) => {
    for (const [document, field, value] of editsOf(index + 1, operations / stores.length)) {
      store.setCell('notes', document, field, value);
    }
  });
  const receivers = [];
  let bytes = 0;
  const begin = performance.now();
  const synchronizers = stores.map((store, index) =>
    createCustomSynchronizer(
      store,
      (_to, ...message) => {
        const text = JSON.stringify(message, (_, value) => (value === undefined ? '\ufffc' : value));
        bytes += Buffer.byteLength(text);
        const read = JSON.parse(text, (_, value) => (value === '\ufffc' ? undefined : value));
        setImmediate(() => receivers[1 - index]?.(String(index), ...read));
      },
      (receive) => {
        receivers[index] = receive;
      },
      () => {
        receivers[index] = undefined;
      },
      REQUEST_TIMEOUT_S,
    ),
  );
  await Promise.all(synchronizers.map((synchronizer) => synchronizer.startSync()));
  while (!isDeepStrictEqual(first.getTables(), second.getTables())) {
    await new Promise(setImmediate);
  }
  const elapsed = performance.now() - begin;
  for (const synchronizer of synchronizers) {
    await synchronizer.destroy();
  }
  return [elapsed, bytes];
}

await serve(({ samples, work }) => inTurn(samples, () => sample(operationsOf(work))));
