// A store that a restart empties. For tests, and to read first: what a store must do, without a database.

import { EMPTY } from './checksum.js';
import { fieldsByteLength, metadataByteLength } from './check.js';

/** Refusals that are kept of a client in a room, by its last numbers. */
const REFUSALS_MAX = 10_000;

export class MemoryStore {
  #rooms = new Map();
  /** Client id -> the user that first pushed with it. */
  #owners = new Map();
  #turn = Promise.resolve();

  /** Runs `work(tx)` alone; what it commits is there as a whole, or not at all. */
  transaction(room, work) {
    const result = this.#turn.then(() => work(this.#open(room)));
    this.#turn = result.catch(() => {});
    return result;
  }

  /** The documents whose newest change stands after `cursor`, in the order of the log, and where the log ends. */
  async page(room, cursor, countMax, bytesMax) {
    const { head, documents } = this.#room(room);
    const newer = [...documents.values()].filter(({ seq }) => seq > cursor);
    newer.sort((one, other) => one.seq - other.seq);
    let bytes = 0;
    const fits = (document, index) => {
      bytes += fieldsByteLength(document.fields) + metadataByteLength(document);
      return index === 0 || bytes <= bytesMax;
    };
    const end = newer.slice(0, countMax).findIndex((document, index) => !fits(document, index));
    return { head, changes: newer.slice(0, end < 0 ? countMax : end) };
  }

  async heads(rooms) {
    return Object.fromEntries(rooms.map((room) => [room, this.#room(room).head.seq]));
  }

  async close() {}

  #room(name) {
    return (
      this.#rooms.get(name) ?? { head: { seq: 0, checksum: EMPTY }, documents: new Map(), clients: new Map() }
    );
  }

  #open(name) {
    const room = this.#room(name);
    const clientOf = (id) => room.clients.get(id) ?? { lastNumber: 0, refusals: new Map() };
    return {
      /** Whether the client is this user's, or nobody's yet: then it is from now on. */
      claim: async (client, user) => {
        if (!this.#owners.has(client)) this.#owners.set(client, user);
        return this.#owners.get(client) === user;
      },
      head: async () => room.head,
      lastNumber: async (client) => clientOf(client).lastNumber,
      refusal: async (client, number) => clientOf(client).refusals.get(number) ?? null,
      document: async (collection, id) => room.documents.get(JSON.stringify([collection, id])) ?? null,
      /** Makes everything that a push wrote true at once. */
      commit: async ({ head, client, lastNumber, documents, refusals }) => {
        const state = clientOf(client);
        state.lastNumber = lastNumber;
        for (const { client_seq, error } of refusals) state.refusals.set(client_seq, error);
        for (const number of state.refusals.keys()) {
          if (number > lastNumber - REFUSALS_MAX) break;
          state.refusals.delete(number);
        }
        for (const document of documents) {
          room.documents.set(JSON.stringify([document.collection, document.id]), document);
        }
        room.head = head;
        room.clients.set(client, state);
        this.#rooms.set(name, room);
      },
    };
  }
}
