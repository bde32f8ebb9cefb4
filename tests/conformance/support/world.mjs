// One backend, the link to it, and whoever talks to it; all gone when the test ends.

import { io } from 'socket.io-client';
import * as msgpackParser from 'socket.io-msgpack-parser';

import { Backend, token } from './backend.mjs';
import { Device } from './device.mjs';
import { Link } from './link.mjs';

const { SYNCLINE_POSTGRES_URL } = process.env;
if (SYNCLINE_POSTGRES_URL === undefined) {
  throw new Error('SYNCLINE_POSTGRES_URL is not set: run scripts/test conformance');
}

/** The default parser and the other one, a store that forgets and one that does not. */
export const MEMORY = { name: 'default parser, in memory', parser: 'json', environment: {} };
export const MSGPACK = {
  name: 'MessagePack parser, in memory',
  parser: 'msgpack',
  environment: { PARSER: 'msgpack' },
};
export const POSTGRES = {
  name: 'default parser, in Postgres',
  parser: 'json',
  environment: { DATABASE_URL: SYNCLINE_POSTGRES_URL },
};
export const VARIANTS = [MEMORY, MSGPACK, POSTGRES];

/** How long a peer waits for an answer. */
const ANSWER_MS_MAX = 10_000;

let rooms = 0;

/** A room that no other test uses, also not of an earlier run. */
export function newRoom() {
  rooms += 1;
  return `list:${process.pid}-${Date.now()}-${rooms}`;
}

export class World {
  #variant;
  #devices = [];
  #peers = [];
  /** Every user may use these rooms. */
  rooms;

  static async start(test, variant, rooms = [newRoom()]) {
    const world = new World();
    world.#variant = variant;
    world.rooms = rooms;
    world.backend = await Backend.start(variant.environment);
    world.link = await Link.open(world.backend.url);
    test.after(() => world.#end());
    return world;
  }

  get room() {
    return this.rooms[0];
  }

  token(user) {
    return token(user, this.rooms);
  }

  /** A device that follows `collections` of the first room. */
  async device(user, { collections = ['tasks'], ...config } = {}) {
    const base = { url: this.link.url, parser: this.#variant.parser, token: this.token(user) };
    const device = await Device.open({ ...base, ...config });
    this.#devices.push(device);
    for (const collection of collections) await device.watch(this.room, collection);
    return device;
  }

  /** A client of npm's socket.io-client, straight to the backend. */
  async peer(user, auth = {}) {
    const socket = io(this.backend.url, {
      auth: { token: this.token(user), ...auth },
      reconnection: false,
      forceNew: true,
      ackTimeout: ANSWER_MS_MAX,
      retries: 0,
      ...(this.#variant.parser === 'msgpack' ? { parser: msgpackParser } : {}),
    });
    this.#peers.push(socket);
    await new Promise((resolve, reject) => socket.on('connect', resolve).on('connect_error', reject));
    return socket;
  }

  /** Kills the backend; another one takes its place, and its connections. */
  async restart() {
    await this.backend.kill();
    this.backend = await Backend.start(this.#variant.environment);
    this.link.lead(this.backend.url);
    // What was muted has not noticed.
    this.link.cut();
  }

  async #end() {
    for (const peer of this.#peers) peer.disconnect();
    for (const device of this.#devices) await device.close().catch(({ code }) => code === 'closed');
    await this.link.close();
    await this.backend.kill();
  }
}
