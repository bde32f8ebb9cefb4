import { invalid } from './error.ts';
import type { Fields } from './ops.ts';
import type { Selection } from './queries.ts';

/** A collection of documents in a room. */
export interface CollectionRef {
  readonly room: string;
  readonly collection: string;
}

/** One document. */
export interface DocumentRef extends CollectionRef {
  readonly id: string;
}

/** What a watch covers: a collection, what is selected of it, or one document of it. */
export interface WatchRef<T = Fields> extends CollectionRef, Selection<T> {
  readonly id?: string;
}

/** Refuses anything but text, with the name of the culprit. What text is allowed is the core's to say. */
export function checkText(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw invalid(`${name} must be a string, not ${value === null ? 'null' : typeof value}`);
}

export function checkCollectionRef(ref: CollectionRef): CollectionRef {
  return { room: checkText(ref.room, 'room'), collection: checkText(ref.collection, 'collection') };
}

export function checkDocumentRef(ref: DocumentRef): DocumentRef {
  return { ...checkCollectionRef(ref), id: checkText(ref.id, 'id') };
}
