// Yjs: two documents exchange state vectors and the updates that the other lacks, as its sync protocol does.

import { isDeepStrictEqual } from 'node:util';

import * as Y from 'yjs';

import { operationsOf, serve } from './contender.mjs';
import { documentName, DOCUMENTS, editsOf, emptyFields, inTurn } from './edits.mjs';

function sample(operations) {
  const docs = [new Y.Doc(), new Y.Doc()];
  const [first, second] = docs;
  first.transact(() => {
    for (let document = 0; document < DOCUMENTS; document += 1) {
      first.getMap('notes').set(documentName(document), new Y.Map(Object.entries(emptyFields())));
    }
  });
  Y.applyUpdate(second, Y.encodeStateAsUpdate(first));
  docs.forEach((doc, index) => {
    for (const [document, field, value] of editsOf(index + 1, operations / docs.length)) {
      doc.getMap('notes').get(document).set(field, value);
    }
  });
  const begin = performance.now();
  let bytes = 0;
  for (const [from, to] of [docs, docs.toReversed()]) {
    const vector = Y.encodeStateVector(to);
    const update = Y.encodeStateAsUpdate(from, vector);
    Y.applyUpdate(to, update);
    bytes += vector.length + update.length;
  }
  const elapsed = performance.now() - begin;
  if (!isDeepStrictEqual(first.getMap('notes').toJSON(), second.getMap('notes').toJSON())) {
    throw new Error('the documents differ');
  }
  return [elapsed, bytes];
}

await serve(({ samples, work }) => inTurn(samples, () => sample(operationsOf(work))));
