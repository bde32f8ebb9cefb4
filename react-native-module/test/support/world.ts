import type { CollectionRef, SyncClient, SyncOptions } from '../../src/index.ts';
import { Devices, unique, type WorldDevices } from './devices.ts';
import { fakeWorld } from './fake-world.ts';
import { TestServer, type WorldServer } from './server.ts';

/** Whether the tests are those of the fake, which is to behave as the core does. */
const isFake = process.env['SYNCLINE_WORLD'] === 'fake';

/** A test of what the fake does not do: other processes, and edits that become one write. */
export const itOfCore = isFake ? it.skip : it;

/** A server, and devices that reach it. */
export class World {
  #running: { readonly server: WorldServer; readonly devices: WorldDevices } | null = null;

  get server(): WorldServer {
    return this.#started().server;
  }

  get devices(): WorldDevices {
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
    this.#running = isFake ? fakeWorld() : { server: await TestServer.start(), devices: new Devices() };
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
