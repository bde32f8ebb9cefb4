import type { WriteRequest } from '../contract.ts';
import { toFields } from '../json.ts';
import { toOps, unset } from '../ops.ts';
import { escapeSegment } from '../paths.ts';
import type { CollectionRef } from '../refs.ts';

/** The creation of a document that carries its id. */
export function creation(
  { room, collection }: CollectionRef,
  document: { readonly id: string },
): WriteRequest {
  const { id, ...fields } = document;
  return { room, collection, id, write: { create: toFields(fields, 'the document') } };
}

/** Sets these fields of a document as a whole; those that are undefined go. */
export function assignment({ room, collection }: CollectionRef, id: string, fields: object): WriteRequest {
  const changes = Object.entries(fields)
    .filter(([name]) => name !== 'id')
    .map(([name, value]: [string, unknown]) => [escapeSegment(name), value === undefined ? unset() : value]);
  return { room, collection, id, write: { update: toOps(Object.fromEntries(changes) as object) } };
}

export function deletion({ room, collection }: CollectionRef, id: string): WriteRequest {
  return { room, collection, id, write: 'delete' };
}
