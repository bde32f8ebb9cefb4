// When a mutation with a `base` is in conflict, and in what.

import { governing, operations } from './merge.js';
import { own } from './objects.js';
import { comparePaths, isWithin, parsePath, spellPath } from './path.js';

/** The paths that both wrote; null where the document holds nothing that the base lacks, or there is no base. */
export function fieldsInConflict(document, mutation, writer) {
  if (document === null || mutation.base === null) return null;
  const seen = (client) =>
    Math.max(own(mutation.base, client) ?? 0, client === writer ? mutation.client_seq : 0);
  const unseen = (client) => (own(document.version, client) ?? 0) > seen(client);
  if (!Object.keys(document.version).some(unseen)) return null;
  const stamped = Object.entries(document.stamps.fields).map(([text, stamp]) => [parsePath(text), stamp]);
  return written(document, mutation.write)
    .filter(
      (path) =>
        unseen(governing(document.stamps, path)[2]) ||
        stamped.some(([inner, stamp]) => isWithin(inner, path) && unseen(stamp[2])),
    )
    .sort(comparePaths)
    .map(spellPath);
}

function written(document, write) {
  if (write === 'delete') return Object.keys(document.fields).map((name) => [name]);
  if (write.update !== undefined) return operations(write.update).map(([path]) => path);
  return Object.keys(write.create).map((name) => [name]);
}
