// What becomes of a push: each mutation exactly once, in order. Knows no socket and no database.

import {
  COUNTER_MAX,
  LIMITS,
  checkFields,
  fieldsByteLength,
  metadataByteLength,
  writeByteLength,
} from './check.js';
import { replaceIn } from './checksum.js';
import { fieldsInConflict } from './conflict.js';
import { merge } from './merge.js';
import { own } from './objects.js';
import { Refusal, invalid, tooLarge } from './refusal.js';

/** How far ahead of this server's clock a mutation's time may be. */
const DRIFT_MS_MAX = 5 * 60_000;
/** What one transaction writes before it puts off the rest of a push. */
const TRANSACTION_BYTES_MAX = 8 << 20;
/** What one `sync:changes` holds; of more it says only that it is there. */
const CHANGES_BYTES_MAX = 1 << 20;

/**
 * Applies a checked push within a transaction that is alone in its room. Resolves to the answer, and to what the
 * room's subscribers are told once the transaction is durable (null for nothing).
 */
export async function applyPush(tx, { room, mutations }, { owner, client, objection }, nowMs) {
  if (!(await tx.claim(client, owner))) throw new Refusal('forbidden', "the client id is another user's");
  const batch = {
    tx,
    client,
    objection,
    nowMs,
    head: await tx.head(),
    before: await tx.lastNumber(client),
    documents: new Map(),
    refusals: [],
    bytes: 0,
  };
  const first = batch.head.seq + 1;
  const answer = { results: [], error: null };
  for (const mutation of mutations) {
    if (batch.bytes > TRANSACTION_BYTES_MAX) {
      answer.error = new Refusal(
        'unavailable',
        'the push writes too much at once; send the rest again',
      ).toWire();
      break;
    }
    answer.results.push(await applyMutation(batch, mutation));
  }
  const documents = [...batch.documents.values()].filter(({ changed }) => changed);
  const changes = documents.map(({ document }) => document).sort((one, other) => one.seq - other.seq);
  const lastNumber = Math.max(batch.before, answer.results.at(-1)?.client_seq ?? 0);
  await tx.commit({ head: batch.head, client, lastNumber, documents: changes, refusals: batch.refusals });
  return { answer, changes: liveChanges(room, first, batch.head.seq, changes) };
}

async function applyMutation(batch, mutation) {
  const { client_seq } = mutation;
  const slot = await read(batch, mutation);
  if (client_seq <= batch.before) return duplicate(batch, mutation, slot.document);
  const conflict = fieldsInConflict(slot.document, mutation, batch.client);
  if (conflict !== null) {
    const error = new Refusal('conflict', "the document changed since the mutation's base").toWire();
    batch.refusals.push({ client_seq, error });
    return { client_seq, status: 'conflict', document: forClients(slot.document), fields: conflict };
  }
  try {
    const reason = await batch.objection(mutation, slot.document);
    if (reason !== undefined) throw new Refusal('forbidden', reason);
    const document = merged(slot.document, mutation, batch);
    document.seq = batch.head.seq + 1;
    batch.head = { seq: document.seq, checksum: replaceIn(batch.head.checksum, slot.document, document) };
    batch.bytes += documentByteLength(document) - (slot.changed ? documentByteLength(slot.document) : 0);
    slot.document = document;
    slot.changed = true;
    return { client_seq, status: 'applied', seq: document.seq };
  } catch (reason) {
    if (!(reason instanceof Refusal)) throw reason;
    const error = reason.toWire();
    batch.refusals.push({ client_seq, error });
    return { client_seq, status: 'rejected', error };
  }
}

async function read({ tx, documents }, { collection, id }) {
  const key = JSON.stringify([collection, id]);
  let slot = documents.get(key);
  if (slot === undefined) {
    slot = { document: await tx.document(collection, id), changed: false };
    documents.set(key, slot);
  }
  return slot;
}

/** The first outcome of a number that was used before. */
async function duplicate({ tx, client }, { client_seq }, document) {
  const error = await tx.refusal(client, client_seq);
  const answer = { client_seq, status: 'duplicate' };
  if (error?.code === 'conflict') return { ...answer, error, document: document && forClients(document) };
  if (error !== null) return { ...answer, error };
  const holds = document !== null && (own(document.version, client) ?? 0) >= client_seq;
  if (holds) return { ...answer, seq: document.seq };
  return { ...answer, error: invalid('refused before; the reason is no longer kept').toWire() };
}

function merged(current, mutation, { client, nowMs }) {
  if (writeByteLength(mutation.write) > LIMITS.document_bytes_max) throw tooLarge('over document_bytes_max');
  const time = capped(mutation, nowMs);
  const document = merge(current, { ...mutation, time }, client, nowMs);
  if (document === null) throw new Refusal('not_found', 'the document does not exist');
  // Operations that fit alone can add up to what does not.
  checkFields(document.fields);
  const bytes = Math.max(fieldsByteLength(document.fields), metadataByteLength(document));
  if (bytes > LIMITS.document_bytes_max) throw tooLarge('the document would be over document_bytes_max');
  return document;
}

/** A clock that runs ahead may not win for years. What falls together keeps the order of its numbers. */
export function capped({ time, client_seq }, nowMs) {
  const wallMsMax = nowMs + DRIFT_MS_MAX;
  return time[0] < wallMsMax ? time : [wallMsMax, Math.min(client_seq, COUNTER_MAX)];
}

function documentByteLength(document) {
  return fieldsByteLength(document.fields) + metadataByteLength(document);
}

/** A document as it is sent: a deleted one without the fields that are kept for an update newer than the deletion. */
export function forClients(document) {
  return document.deleted ? { ...document, fields: {} } : document;
}

function liveChanges(room, from_seq, to_seq, documents) {
  if (to_seq < from_seq) return null;
  const bytes = documents.reduce((sum, document) => sum + documentByteLength(document), 0);
  if (bytes > CHANGES_BYTES_MAX) return { room, from_seq: to_seq + 1, to_seq, changes: [] };
  return { room, from_seq, to_seq, changes: documents.map(forClients) };
}
