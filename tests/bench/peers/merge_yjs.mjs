// Yjs: a map of maps. One replica makes the updates; the other, which is measured, takes them in.

import * as Y from 'yjs';

import { operationsOf, serve } from './contender.mjs';
import { documentName, DOCUMENTS, fieldName, FIELDS, sizes, transactions } from './updates.mjs';

const source = new Y.Doc();
const target = new Y.Doc();
const notes = source.getMap('notes');

source.transact(() => {
  for (let document = 0; document < DOCUMENTS; document += 1) {
    const fields = Array.from({ length: FIELDS }, (_, field) => [fieldName(field), 0]);
    notes.set(documentName(document), new Y.Map(fields));
  }
});
Y.applyUpdate(target, Y.encodeStateAsUpdate(source));

let made = [];
source.on('update', (update) => made.push(update));
const next = transactions();

await serve(({ samples, work }) =>
  Array.from({ length: samples }, () => {
    const operations = operationsOf(work);
    made = [];
    let last;
    for (const size of sizes(operations)) {
      source.transact(() => {
        for (const update of next(size)) {
          const [document, field, value] = update;
          notes.get(document).set(field, value);
          last = update;
        }
      });
    }
    const begin = performance.now();
    for (const update of made) {
      Y.applyUpdate(target, update);
    }
    const elapsed = performance.now() - begin;
    const [document, field, value] = last;
    if (target.getMap('notes').get(document).get(field) !== value) {
      throw new Error('an update was lost');
    }
    return operations / elapsed / 1000;
  }),
);
