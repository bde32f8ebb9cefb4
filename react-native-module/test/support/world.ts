import type { CollectionRef, SyncClient, SyncOptions } from '../../src/index.ts';
import { Devices, unique } from './devices.ts';
import { TestServer } from './server.ts';

/** A server, and devices that reach it. */
export class World {
  #running: { readonly server: TestServer; readonly devices: Devices } | null = null;

  get server(): TestServer {
    return this.#started().server;
  }

  get devices(): Devices {
    return this.#started().devices;
  }

  /** Options for a client of a new device, with a token for these rooms. */
  options(user: string, rooms: string[]): Promise<SyncOptions> {
    return this.devices.options(this.server, user, rooms);
  }

  client(user: string, rooms: string[], more: Partial<SyncOptions> = {}): Promise<SyncClient> {
    return this.devices.client(this.server, user, rooms, more);
  }

  /** Two devices of two users in a room of their own. */
  async pair(): Promise<{ ref: CollectionRef; ada: SyncClient; bob: SyncClient }> {
    const room = unique('list');
    const ada = await this.client('ada', [room]);
    const bob = await this.client('bob', [room]);
    return { ref: { room, collection: 'tasks' }, ada, bob };
  }

  async start(): Promise<void> {
    this.#running = { server: await TestServer.start(), devices: new Devices() };
  }

  async dispose(): Promise<void> {
    await this.devices.dispose();
    await this.server.dispose();
    this.#running = null;
  }

  #started() {
    if (!this.#running) throw new Error('the world begins with the first test');
    return this.#running;
  }
}

/** A world for all tests of the file, or a new one for each. */
export function worldFor(every: 'file' | 'test'): World {
  const world = new World();
  const [before, after] = every === 'file' ? [beforeAll, afterAll] : [beforeEach, afterEach];
  before(() => world.start());
  after(() => world.dispose());
  return world;
}
