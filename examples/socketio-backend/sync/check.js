// Whether a request is well formed: nothing unchecked reaches the merge or the store.

import { operations } from './merge.js';
import { isMap } from './objects.js';
import { isWithin, parsePath } from './path.js';
import { invalid, tooLarge } from './refusal.js';

/** What this backend says in `sync:hello`; the defaults of the protocol. */
export const LIMITS = {
  document_bytes_max: 1 << 20,
  push_count_max: 500,
  page_count_max: 1000,
  message_bytes_max: 8 << 20,
  presence_state_bytes_max: 4 << 10,
  rooms_max: 1000,
};

const NAME_BYTES_MAX = { room: 128, collection: 64, id: 128 };
const STATUSES = ['active', 'away'];
const VALUE_DEPTH_MAX = 64;
/** The counter of a time has 32 bits. */
export const COUNTER_MAX = 2 ** 32 - 1;
/** npm's MessagePack parser garbles whole numbers from here on. */
const WHOLE_NUMBER_END = 2 ** 63;
const CLIENT_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const CONTROL = /\p{Cc}/u;

export function isClientId(value) {
  return typeof value === 'string' && CLIENT_ID.test(value);
}

export function checkRoom(request) {
  return checkName(checkMap(request, 'the request').room, 'room');
}

export function checkCursor({ cursor }) {
  return checkWhole(cursor, 0, 'cursor');
}

export function checkPush(request) {
  const room = checkRoom(request);
  const after = request.after ?? null;
  if (after !== null) checkWhole(after, 0, 'after');
  if (!Array.isArray(request.mutations) || request.mutations.length === 0) throw invalid('the push is empty');
  if (request.mutations.length > LIMITS.push_count_max) throw tooLarge('more than push_count_max mutations');
  const mutations = request.mutations.map(checkMutation);
  const growing = mutations.every(
    ({ client_seq }, at) => at === 0 || client_seq > mutations[at - 1].client_seq,
  );
  if (!growing) throw invalid('mutation numbers grow within a push');
  return { room, after, mutations };
}

export function checkMutation(mutation) {
  const { client_seq, collection, id, write, time, base = null } = checkMap(mutation, 'a mutation');
  checkWhole(client_seq, 1, 'client_seq');
  checkName(collection, 'collection');
  checkName(id, 'id');
  if (!Array.isArray(time) || time.length !== 2) throw invalid('a time is [wall_ms, counter]');
  checkWhole(time[0], 0, 'wall_ms');
  if (checkWhole(time[1], 0, 'counter') > COUNTER_MAX) throw invalid('counter has 32 bits');
  if (base !== null) {
    for (const [client, number] of Object.entries(checkMap(base, 'a base'))) {
      if (!isClientId(client)) throw invalid('a base names clients');
      checkWhole(number, 0, 'a number in a base');
    }
  }
  checkWrite(write);
  return { client_seq, collection, id, write, time, base };
}

/** What `presence:join` and `presence:update` say: a client that is sent what it cannot read ends its connection. */
export function checkPresence(request) {
  const { state, status = 'active', expires_ms = {}, background_lease_ms = null } = request;
  checkFields(state);
  if (!STATUSES.includes(status)) throw invalid('a status is active or away');
  for (const [name, ms] of Object.entries(checkMap(expires_ms, 'expires_ms'))) {
    if (!Object.hasOwn(state, name)) throw invalid('a field expires, and is not set');
    checkWhole(ms, 0, 'a time in expires_ms');
  }
  if (background_lease_ms !== null) checkWhole(background_lease_ms, 0, 'background_lease_ms');
  return { state, status, expires_ms, background_lease_ms };
}

function checkWrite(write) {
  if (write === 'delete') return;
  const kinds = Object.keys(checkMap(write, 'a write'));
  if (kinds.length !== 1) throw invalid('a write is one of create, update and delete');
  if (kinds[0] === 'create') checkFields(write.create);
  else if (kinds[0] === 'update') checkPatch(write.update);
  else throw invalid('a write is one of create, update and delete');
}

function checkPatch(patch) {
  Object.keys(checkMap(patch, 'a patch')).forEach(checkText);
  const paths = operations(patch).map(([path, op]) => {
    checkOperation(op);
    return path;
  });
  if (paths.length === 0) throw invalid('the patch is empty');
  // In order, so the paths within one follow it directly.
  if (paths.some((path, at) => at > 0 && isWithin(path, paths[at - 1]))) {
    throw invalid('a path lies within another of the same patch');
  }
}

function checkOperation(op) {
  if (op === 'unset' || op === 'server_time') return;
  const [[name, value] = [], ...more] = Object.entries(checkMap(op, 'an operation'));
  const isKnown =
    name === 'set' ||
    (name === 'increment' && typeof value === 'number') ||
    (['union', 'remove', 'append'].includes(name) && Array.isArray(value));
  if (!isKnown || more.length > 0) throw invalid(`${name} is no operation, or its value does not fit`);
  if (name === 'set' || name === 'increment') checkValue(value);
  else value.forEach((item) => checkValue(item));
}

/** The fields of a document, as sent or as merged. */
export function checkFields(fields) {
  for (const [name, value] of Object.entries(checkMap(fields, 'the fields'))) {
    checkText(name);
    checkValue(value);
  }
}

function checkValue(value, depth = 0) {
  if (depth > VALUE_DEPTH_MAX) throw invalid(`a value nests deeper than ${VALUE_DEPTH_MAX}`);
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') checkText(value);
  else if (typeof value === 'number') checkNumber(value);
  else if (Array.isArray(value)) value.forEach((item) => checkValue(item, depth + 1));
  else {
    for (const [name, inner] of Object.entries(checkMap(value, 'a value'))) {
      checkText(name);
      checkValue(inner, depth + 1);
    }
  }
}

/** A lone surrogate cannot be written as UTF-8: no other client could read the document. */
function checkText(text) {
  if (!text.isWellFormed()) throw invalid('a text is not well-formed Unicode');
}

function checkNumber(number) {
  if (!Number.isFinite(number)) throw invalid('a number is not finite');
  if (Number.isInteger(number) && Math.abs(number) >= WHOLE_NUMBER_END) {
    throw invalid('a whole number has more than 63 bits');
  }
}

function checkName(name, what) {
  const bytesMax = NAME_BYTES_MAX[what];
  if (typeof name !== 'string' || name === '') throw invalid(`${what} is missing`);
  checkText(name);
  if (Buffer.byteLength(name) > bytesMax) throw invalid(`${what} has more than ${bytesMax} bytes`);
  if (CONTROL.test(name)) throw invalid(`${what} holds a control character`);
  return name;
}

function checkWhole(number, least, what) {
  if (!Number.isSafeInteger(number) || number < least) throw invalid(`${what} is not a whole number`);
  return number;
}

function checkMap(value, what) {
  if (!isMap(value)) throw invalid(`${what} is not a map`);
  return value;
}

/** What a value counts: the section "Limits" of docs/protocol.md. */
function byteLength(value) {
  if (value === null || typeof value === 'boolean') return 1;
  if (typeof value === 'number') return 9;
  if (typeof value === 'string') return 3 + Buffer.byteLength(value);
  if (Array.isArray(value)) return value.reduce((sum, item) => sum + byteLength(item), 3);
  return 3 + fieldsByteLength(value);
}

export function fieldsByteLength(fields) {
  const entries = Object.entries(fields);
  return entries.reduce((sum, [name, value]) => sum + 3 + Buffer.byteLength(name) + byteLength(value), 0);
}

export function writeByteLength(write) {
  if (write === 'delete') return 0;
  if (write.create !== undefined) return fieldsByteLength(write.create);
  return Object.entries(write.update).reduce((sum, [text, op]) => {
    const names = parsePath(text).reduce((length, name) => length + Buffer.byteLength(name), 0);
    return sum + 12 + names + operationByteLength(op);
  }, 0);
}

function operationByteLength(op) {
  if (typeof op === 'string') return 0;
  const [value] = Object.values(op);
  return Object.hasOwn(op, 'set') || Object.hasOwn(op, 'increment')
    ? byteLength(value)
    : byteLength(value) - 3;
}

/** What a document's version and stamps count. */
export function metadataByteLength({ version, stamps }) {
  const paths = Object.keys(stamps.fields).reduce((sum, text) => sum + 40 + Buffer.byteLength(text), 0);
  return 64 + paths + 26 * Object.keys(version).length;
}
