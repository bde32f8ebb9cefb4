// Automerge: two documents, one change per edit, by its sync protocol.

import { isDeepStrictEqual } from 'node:util';

import * as Automerge from '@automerge/automerge';

import { operationsOf, serve } from './contender.mjs';
import { documentName, DOCUMENTS, editsOf, emptyFields, inTurn } from './edits.mjs';

function sample(operations) {
  const names = Array.from({ length: DOCUMENTS }, (_, document) => documentName(document));
  const base = Automerge.from({ notes: Object.fromEntries(names.map((name) => [name, emptyFields()])) });
  const ends = [base, Automerge.clone(base)].map((doc) => ({ doc, state: Automerge.initSyncState() }));
  ends.forEach((end, index) => {
    for (const [document, field, value] of editsOf(index + 1, operations / ends.length)) {
      end.doc = Automerge.change(end.doc, (draft) => {
        draft.notes[document][field] = value;
      });
    }
  });
  const begin = performance.now();
  let bytes = 0;
  let quiet = 0;
  while (quiet < ends.length) {
    for (const [from, to] of [ends, ends.toReversed()]) {
      const [state, message] = Automerge.generateSyncMessage(from.doc, from.state);
      from.state = state;
      quiet = message ? 0 : quiet + 1;
      if (message) {
        [to.doc, to.state] = Automerge.receiveSyncMessage(to.doc, to.state, message);
        bytes += message.length;
      }
    }
  }
  const elapsed = performance.now() - begin;
  if (!isDeepStrictEqual(Automerge.toJS(ends[0].doc), Automerge.toJS(ends[1].doc))) {
    throw new Error('the documents differ');
  }
  return [elapsed, bytes];
}

await serve(({ samples, work }) => inTurn(samples, () => sample(operationsOf(work))));
