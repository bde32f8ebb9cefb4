// The façade, as a host carries it: JSON in, JSON out. Keeps what the events say about one client.

import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)(process.env.SYNCLINE_NODE_ADDON);

/** What a command was refused with. */
export class SynclineError extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

function unwrap(reply) {
  const { ok, error } = JSON.parse(reply);
  if (error !== undefined) {
    throw new SynclineError(error);
  }
  return ok;
}

export function setNetwork(available) {
  addon.setNetwork(available, false, available ? 'wifi' : 'none');
}

/** Now, in milliseconds on a clock that all processes of this machine share. */
export function nowMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** One open client, with the state that its events add up to. */
export class Client {
  queue = { count: 0 };
  room = { state: 'waiting', complete: false, error: null };
  members = [];
  /** Collection -> id -> row. */
  rows = new Map();

  #number;
  #collections = new Map();
  /** Events of a watch whose reply has not arrived. */
  #early = [];
  #listeners = new Set();

  static async open(config) {
    const client = new Client();
    const reply = await addon.open(JSON.stringify(config), (_, events) =>
      client.#handleEvents(JSON.parse(events.text)),
    );
    client.#number = unwrap(reply).client;
    return client;
  }

  async call(command) {
    // The demo writes no bytes, which would go beside the text.
    const reply = await addon.call(this.#number, { text: JSON.stringify(command), attachments: [] });
    return unwrap(reply.text);
  }

  async watch(room, collection) {
    const reply = await this.call({ type: 'watch', room, collection });
    this.#collections.set(reply.watch, collection);
    this.rows.set(collection, new Map(reply.rows.map((row) => [row.id, row])));
    this.room = reply.room;
    const early = this.#early;
    this.#early = [];
    this.#handleEvents(early);
  }

  /** Calls back after each batch of events; returns what ends that. */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #handleEvents(events) {
    for (const event of events) {
      this.#handleEvent(event);
    }
    for (const listener of [...this.#listeners]) {
      listener(events);
    }
  }

  #handleEvent(event) {
    switch (event.type) {
      case 'queue':
        this.queue = event.status;
        break;
      case 'room':
        this.room = event.status;
        break;
      case 'presence':
        this.members = event.members;
        break;
      case 'rows':
        this.#handleRows(event);
        break;
      default:
    }
  }

  #handleRows(event) {
    const collection = this.#collections.get(event.watch);
    if (collection === undefined) {
      this.#early.push(event);
      return;
    }
    if (event.reset) {
      this.rows.set(collection, new Map());
    }
    const rows = this.rows.get(collection);
    for (const row of event.upserted) {
      rows.set(row.id, row);
    }
    for (const id of event.removed) {
      rows.delete(id);
    }
  }
}
