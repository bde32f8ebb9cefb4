// A Socket.IO server in this process, as apps have them, and the device and the peers that talk to it.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import * as msgpackParser from 'socket.io-msgpack-parser';

import { Device } from './device.mjs';
import { Link } from './link.mjs';

export const PARSERS = ['json', 'msgpack'];

const HOST = '127.0.0.1';
/** A server that is gone is gone at once. */
const QUICK = { pingInterval: 500, pingTimeout: 500 };

const parserOf = (name) => (name === 'msgpack' ? { parser: msgpackParser } : {});

export class Sockets {
  parser;
  #options;
  #setUp;
  #http;
  #devices = [];
  #peers = [];

  /** `setUp(io)` is called for every server that runs here, one after the other. */
  static async start(test, { parser = 'json', setUp = () => {}, ...options } = {}) {
    const sockets = new Sockets();
    Object.assign(sockets, { parser });
    sockets.#options = options;
    sockets.#setUp = setUp;
    await sockets.#listen(0);
    sockets.link = await Link.open(sockets.url);
    test.after(() => sockets.#end());
    return sockets;
  }

  get url() {
    return `http://${HOST}:${this.#http.address().port}`;
  }

  async device(config = {}) {
    const { settings, ...more } = config;
    const device = await Device.open({
      url: this.link.url,
      parser: this.parser,
      settings: { tokenRequired: false, ...settings },
      ...more,
    });
    this.#devices.push(device);
    return device;
  }

  /** A client of npm's socket.io-client, straight to the server. */
  async peer(namespace = '/', options = {}) {
    const peer = io(this.url + namespace, {
      reconnection: false,
      forceNew: true,
      ...parserOf(this.parser),
      ...options,
    });
    this.#peers.push(peer);
    await new Promise((resolve, reject) => peer.on('connect', resolve).on('connect_error', reject));
    return peer;
  }

  /** Ends the server, with every connection; another one takes its place. */
  async restart() {
    const { port } = this.#http.address();
    await this.io.close();
    await this.#listen(port);
  }

  async #listen(port) {
    this.#http = createServer();
    this.io = new Server(this.#http, { ...QUICK, ...parserOf(this.parser), ...this.#options });
    this.#setUp(this.io);
    this.#http.listen(port, HOST);
    await once(this.#http, 'listening');
  }

  async #end() {
    for (const peer of this.#peers) peer.disconnect();
    for (const device of this.#devices) await device.close();
    await this.link.close();
    await this.io.close();
  }
}
