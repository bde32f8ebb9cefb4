// The network between devices and a backend: one address that stays, whatever runs behind it.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Link {
  #server;
  #connections = new Set();
  #held = false;
  /** Where connections lead, as `{ host, port }`. */
  #target;

  static async open(target) {
    const link = new Link();
    link.lead(target);
    link.#server = createServer((near) => link.#accept(near)).listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Leads new connections to a backend's URL. */
  lead(url) {
    const { hostname, port } = new URL(url);
    this.#target = { host: hostname, port: Number(port) };
  }

  /** What the backend says on today's connections does not arrive any more; what it is told does. */
  mute() {
    for (const { far } of this.#connections) far.pause();
  }

  /** Ends every new connection at once, until `release`. */
  hold() {
    this.#held = true;
  }

  release() {
    this.#held = false;
  }

  /** Ends all connections, without a goodbye. */
  cut() {
    for (const { near, far } of this.#connections) {
      near.destroy();
      far.destroy();
    }
  }

  async close() {
    this.#server.close();
    this.cut();
    await once(this.#server, 'close');
  }

  #accept(near) {
    if (this.#held) {
      near.destroy();
      return;
    }
    const far = connect(this.#target);
    const connection = { near, far };
    this.#connections.add(connection);
    far.on('data', (data) => near.write(data));
    near.on('data', (data) => far.write(data));
    const end = () => {
      this.#connections.delete(connection);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
  }
}
