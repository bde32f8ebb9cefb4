import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import {
  createSyncClient,
  type Observable,
  type SyncClient,
  SynclineError,
  type SyncOptions,
} from '../../src/index.ts';
import { createNodeHost, type NodeHost } from '../../src/node.ts';
import { built, type WorldServer } from './server.ts';

const UNTIL_TIMEOUT_MS = 30_000;

/** Opens a client as its arguments say, and prints the reply. */
const OPEN_SCRIPT = `
  const { open } = require(process.argv[1]);
  open(process.argv[2], () => {}).then((reply) => process.stdout.write(reply));
`;

let names = 0;

/** A name that no other test uses: rooms and users are shared by all tests of a server. */
export function unique(prefix: string): string {
  names += 1;
  return `${prefix}:${process.pid}-${names}`;
}

/** What a world offers of its devices. */
export type WorldDevices = Pick<Devices, 'host' | 'options' | 'client' | 'openElsewhere' | 'dispose'>;

/** Where the clients of one test file live. */
export class Devices {
  readonly folder = mkdtempSync(join(tmpdir(), 'syncline-devices-'));
  readonly host: NodeHost;
  readonly #opening = new Set<Promise<string>>();
  #isDisposed = false;

  constructor() {
    const host = createNodeHost({
      addon: built('SYNCLINE_NODE_ADDON', 'syncline.node'),
      directory: this.folder,
    });
    this.host = { ...host, open: (config) => this.#open(host, config) };
  }

  /** Options for a client of a new device, with a token for these rooms. */
  async options(server: WorldServer, user: string, rooms: string[]): Promise<SyncOptions> {
    names += 1;
    return { url: server.url, name: `device-${names}`, auth: { token: await server.token(user, rooms) } };
  }

  async client(
    server: WorldServer,
    user: string,
    rooms: string[],
    more: Partial<SyncOptions> = {},
  ): Promise<SyncClient> {
    return createSyncClient({ ...(await this.options(server, user, rooms)), ...more }, this.host);
  }

  /** What another process is answered that opens the files of the client `name`. */
  async openElsewhere(name: string): Promise<unknown> {
    const config = {
      url: 'http://127.0.0.1:1',
      directory: this.host.defaultDirectory(name),
      autoConnect: false,
    };
    const addon = built('SYNCLINE_NODE_ADDON', 'syncline.node');
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['-e', OPEN_SCRIPT, addon, JSON.stringify(config)],
      { timeout: UNTIL_TIMEOUT_MS },
    );
    return JSON.parse(stdout);
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    await Promise.allSettled(this.#opening);
    await this.host.closeAll();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A client outlives its screen for a moment, and opens again when it is used: not in a folder that is being removed. */
  async #open(host: NodeHost, config: string): Promise<string> {
    if (this.#isDisposed) {
      throw new SynclineError({ code: 'closed', message: 'the device is gone', retry: 'never' });
    }
    const opening = host.open(config);
    this.#opening.add(opening);
    try {
      return await opening;
    } finally {
      this.#opening.delete(opening);
    }
  }
}

/** Resolves to the first value that passes, now or later. */
export function until<T>(source: Observable<T>, passes: (value: T) => boolean): Promise<T> {
  return new Promise((resolve, reject) => {
    const check = () => {
      const value = source.get();
      if (!passes(value)) return;
      clearTimeout(timer);
      unsubscribe();
      resolve(value);
    };
    const timer = setTimeout(() => {
      unsubscribe();
      reject(new Error(`waited ${UNTIL_TIMEOUT_MS} ms; the last value was ${JSON.stringify(source.get())}`));
    }, UNTIL_TIMEOUT_MS);
    const unsubscribe = source.subscribe(check);
    check();
  });
}

/** Resolves when the client is connected and every write is confirmed. */
export async function settled(client: SyncClient): Promise<void> {
  await until(client.connection, ({ state }) => state === 'open');
  await until(client.queue, ({ count }) => count === 0);
}
