// A device: the core, through the Node addon, and what its events add up to.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import { attached, detached } from '../../../bindings/node/test/support/bytes.mjs';
import { until } from './until.mjs';

const addon = createRequire(import.meta.url)(process.env.SYNCLINE_NODE_ADDON);

/** Quick to come back, so that a test of a fault is short. */
const SETTINGS = { reconnectDelayMs: 20, reconnectDelayMsMax: 200, retryDelayMs: 50 };

export class Device {
  connection = { state: 'idle' };
  queue = { count: 0 };
  outcomes = [];
  conflicts = [];
  tokensNeeded = [];
  errors = [];
  /** Events of the server, `connection` events and those of namespaces, in order. */
  messages = [];
  connections = [];
  namespaces = [];
  /** What was told of who is present, in order: `{room, members}`. */
  presences = [];
  #number;
  #rooms = new Map();
  /** `room/collection` -> id -> row. */
  #rows = new Map();
  #watches = new Map();
  /** Watches that only read, and are over. */
  #ended = new Set();
  /** `room/collection` -> `[room, collection]`. */
  #watched = new Map();
  /** Events of a watch whose reply has not arrived. */
  #early = [];

  /** Opens a client in memory, unless `directory` says where it keeps its data. */
  static async open({ settings, directory, conflict, ...config }) {
    const device = new Device();
    const store = directory === undefined ? { store: 'memory' } : { store: 'disk', directory };
    // Every write stays one of its own, to be counted.
    const collections = { tasks: { coalesce: false, ...(conflict && { conflict }) } };
    const text = JSON.stringify({ ...store, ...config, collections, settings: { ...SETTINGS, ...settings } });
    const reply = await addon.open(text, (_, events) =>
      attached(events).forEach((event) => device.#handle(event)),
    );
    device.#number = unwrap(JSON.parse(reply)).client;
    return device;
  }

  async call(type, parameters = {}) {
    return unwrap(attached(await addon.call(this.#number, detached({ type, ...parameters }))));
  }

  /** Follows a collection; its rows are in `rows`. */
  async watch(room, collection) {
    const { watch, rows, room: status } = await this.call('watch', { room, collection });
    const key = `${room}/${collection}`;
    this.#watched.set(key, [room, collection]);
    this.#watches.set(watch, key);
    this.#rows.set(key, new Map(rows.map((row) => [row.id, row])));
    this.#rooms.set(room, status);
    const early = this.#early;
    this.#early = [];
    early.forEach((event) => this.#handle(event));
  }

  /** Resolves when the writes are durable on this device. */
  async write(room, collection, writes) {
    const each = Object.entries(writes).map(([id, write]) => ({ room, collection, id, write }));
    return (await this.call('write', { writes: each })).clientSeqs;
  }

  rows(room, collection) {
    return this.#rows.get(`${room}/${collection}`);
  }

  /** The fields of every document of a collection, by id. */
  documents(room, collection) {
    const rows = [...this.rows(room, collection)];
    return Object.fromEntries(rows.map(([id, { fields }]) => [id, fields]));
  }

  room(room) {
    return this.#rooms.get(room) ?? { state: 'waiting', complete: false, error: null };
  }

  /**
   * Until nothing waits to be sent or confirmed, every room that is watched is live, and `rows` shows what the core
   * does. Asks for each, because events come when they come.
   */
  settled() {
    return until(
      async () => {
        const [connection, queue] = await Promise.all([this.call('connection'), this.call('queue')]);
        if (connection.state !== 'open' || queue.count > 0) return false;
        for (const key of this.#rows.keys()) if (!(await this.#isSettled(key))) return false;
        return true;
      },
      () => ({ connection: this.connection, queue: this.queue, rooms: [...this.#rooms.values()] }),
    );
  }

  async #isSettled(key) {
    const { room, rows, count } = await this.#read(key, { limit: 0 });
    assert.deepEqual(rows, []);
    if (room.state !== 'live' || !room.complete || count !== this.#rows.get(key).size) return false;
    const current = (await this.#read(key)).rows;
    return current.every(({ id, seq, pending }) => {
      const row = this.#rows.get(key).get(id);
      return row?.seq === seq && row.pending === pending;
    });
  }

  /** What a watch begins with. */
  async #read(key, selection = {}) {
    const [room, collection] = this.#watched.get(key);
    const reply = await this.call('watch', { room, collection, ...selection });
    this.#ended.add(reply.watch);
    await this.call('unwatch', { watch: reply.watch });
    return reply;
  }

  /** What this device knows, for whoever waits in vain. */
  describe() {
    const { connection, queue, errors, outcomes } = this;
    return { connection, queue, errors, outcomes, rooms: [...this.#rooms.values()], rows: [...this.#rows] };
  }

  /** What was told last of a namespace. */
  namespace(name) {
    return this.namespaces.findLast(({ namespace }) => namespace === name);
  }

  /** Who is present in a room, as told last: client ids, as in `presences`, to members. */
  members(room) {
    const told = this.presences.findLast((event) => event.room === room);
    return new Map((told?.members ?? []).map((member) => [member.userId, member]));
  }

  /** The arguments of the messages with this name, so far. */
  heard(event, namespace = '/') {
    const heard = this.messages.filter(
      (message) => message.event === event && message.namespace === namespace,
    );
    return heard.map(({ args }) => args);
  }

  close() {
    return this.call('close');
  }

  #handle(event) {
    switch (event.type) {
      case 'connection':
        this.connection = event.status;
        this.connections.push(event.status);
        break;
      case 'queue':
        this.queue = event.status;
        break;
      case 'room':
        this.#rooms.set(event.status.room, event.status);
        break;
      case 'rows':
        this.#handleRows(event);
        break;
      case 'outcome':
        this.outcomes.push(event.outcome);
        break;
      case 'conflict':
        this.conflicts.push(event.conflict);
        break;
      case 'tokenNeeded':
        this.tokensNeeded.push(event.reason);
        break;
      case 'presence':
        this.presences.push(event);
        break;
      case 'message':
        this.messages.push(event);
        break;
      case 'namespace':
        this.namespaces.push(event.status);
        break;
      case 'error':
        this.errors.push(event.error);
        break;
      default:
    }
  }

  #handleRows(event) {
    const key = this.#watches.get(event.watch);
    if (key === undefined) {
      if (!this.#ended.has(event.watch)) this.#early.push(event);
      return;
    }
    if (event.reset) this.#rows.set(key, new Map());
    const rows = this.#rows.get(key);
    event.removed.forEach((id) => rows.delete(id));
    event.upserted.forEach((row) => rows.set(row.id, row));
  }
}

function unwrap({ ok, error }) {
  if (error !== undefined) throw Object.assign(new Error(error.message), error);
  return ok;
}
