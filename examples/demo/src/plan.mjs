// Which documents are edited, and how: writes as data, chosen by a seed.

import { pathOf } from './model.mjs';

/** The demo's own documents lie beside the data: no file's name has a slash. */
export const OWN = 'demo/own';
export const COUNTER = { collection: OWN, id: 'counter', field: 'value' };
export const LIVE = { collection: OWN, id: 'live', field: 'edit' };

const EDITS = 200;
const DELETIONS = 20;
const CREATIONS = 50;
const INCREMENTS = 30;

/** What B does to the documents that A edited or deleted offline. */
const SAME_FIELD_EDITS = 50;
const OTHER_FIELD_EDITS = 50;
const DELETED_EDITS = 10;
const REVIVALS = 5;
const B_INCREMENTS = 10;

/** The documents that the demo itself adds, before the data. */
export function ownDocuments() {
  return [
    { collection: OWN, id: COUNTER.id, write: { create: { [COUNTER.field]: 0 } } },
    { collection: OWN, id: LIVE.id, write: { create: { [LIVE.field]: 0 } } },
  ];
}

export function liveEdit(value) {
  return update(LIVE.collection, LIVE.id, LIVE.field, { set: value });
}

/** The writes that create the data; the id is the place in the file. */
export function creations(records, collection) {
  return records.map(({ fields }, index) => ({
    collection,
    id: String(index + 1).padStart(6, '0'),
    write: { create: fields },
  }));
}

/**
 * What A does offline, and what B does meanwhile.
 * @param {{ collection: string, id: string, write: { create: object } }[]} created the data
 * @param {string[]} newIds ids for the documents that A creates offline
 */
export function plan(created, collection, newIds, seed) {
  const shuffled = shuffle(created, seed);
  const deleted = shuffled.slice(0, Math.min(DELETIONS, Math.floor(created.length / 4)));
  const edited = shuffled.slice(deleted.length, deleted.length + EDITS);
  const edits = edited.map((document, index) => editOfOwnField(document, index, 'A'));
  const deletions = deleted.map(({ id }) => ({ collection, id, write: 'delete' }));
  const offline = {
    edits,
    increments: increments(INCREMENTS),
    creations: newIds.map((id, index) => ({
      collection,
      id,
      write: { create: { title: `Made offline, ${index + 1}`, tags: ['offline', { index }], note: null } },
    })),
    deletions,
  };
  const afterSame = SAME_FIELD_EDITS + OTHER_FIELD_EDITS;
  const meanwhile = {
    sameField: edited
      .slice(0, SAME_FIELD_EDITS)
      .map((document, index) => editOfOwnField(document, index, 'B')),
    otherField: edited
      .slice(SAME_FIELD_EDITS, afterSame)
      .map(({ id }, index) => update(collection, id, 'seen by B', { set: index })),
    deletions: edited
      .slice(afterSame, afterSame + DELETED_EDITS)
      .map(({ id }) => ({ collection, id, write: 'delete' })),
    revivals: deleted.slice(0, REVIVALS).map(({ id }) => update(collection, id, 'kept by B', { set: true })),
    increments: increments(B_INCREMENTS),
  };
  return { offline, meanwhile };
}

export const CREATED_OFFLINE = CREATIONS;

/** Replaces a value that the document came with, so that names from the data are used as paths. */
function editOfOwnField({ collection, id, write }, index, device) {
  const names = Object.keys(write.create);
  const name = names.length === 0 ? 'note' : names[index % names.length];
  return update(collection, id, name, { set: `edited by ${device}, ${index}` });
}

function increments(count) {
  return Array.from({ length: count }, () => update(OWN, COUNTER.id, COUNTER.field, { increment: 1 }));
}

function update(collection, id, name, operation) {
  return { collection, id, write: { update: { [pathOf(name)]: operation } } };
}

/** Fisher and Yates, with the generator mulberry32. */
function shuffle(items, seed) {
  const shuffled = [...items];
  let state = seed >>> 0;
  for (let last = shuffled.length - 1; last > 0; last -= 1) {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const other = ((mixed ^ (mixed >>> 14)) >>> 0) % (last + 1);
    [shuffled[last], shuffled[other]] = [shuffled[other], shuffled[last]];
  }
  return shuffled;
}
