// Automerge: a map of maps. One replica makes the changes; the other, which is measured, takes them in.

import * as Automerge from '@automerge/automerge';

import { operationsOf, serve } from './contender.mjs';
import { documentName, DOCUMENTS, fieldName, FIELDS, sizes, transactions } from './updates.mjs';

const fields = Object.fromEntries(Array.from({ length: FIELDS }, (_, field) => [fieldName(field), 0]));
const notes = Object.fromEntries(
  Array.from({ length: DOCUMENTS }, (_, document) => [documentName(document), { ...fields }]),
);

let source = Automerge.from({ notes });
let target = Automerge.clone(source);
const next = transactions();

await serve(({ samples, work }) =>
  Array.from({ length: samples }, () => {
    const operations = operationsOf(work);
    const made = [];
    let last;
    for (const size of sizes(operations)) {
      source = Automerge.change(source, (draft) => {
        for (const update of next(size)) {
          const [document, field, value] = update;
          draft.notes[document][field] = value;
          last = update;
        }
      });
      made.push(Automerge.getLastLocalChange(source));
    }
    const begin = performance.now();
    for (const change of made) {
      [target] = Automerge.applyChanges(target, [change]);
    }
    const elapsed = performance.now() - begin;
    const [document, field, value] = last;
    if (target.notes[document][field] !== value) {
      throw new Error('an update was lost');
    }
    return operations / elapsed / 1000;
  }),
);
