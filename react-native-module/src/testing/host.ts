// What stands in for the native module: text and bytes in, text and bytes out, all in memory.
import type { AppState, ClientConfig, DeviceOptions, Envelope, Event, Network } from '../contract.ts';
import { SynclineError } from '../error.ts';
import { packed, unpacked } from '../inline-bytes.ts';
import type { EventsListener, Host, Parcel } from '../host.ts';
import type { Unsubscribe } from '../observable.ts';
import { type Disk, emptyDisk } from './context.ts';
import { FakeCore } from './core.ts';
import { Failure } from './errors.ts';
import { bringUpToDate } from './migrations.ts';
import { FakeServer } from './server.ts';
import { parseCommand, parseConfig } from './shapes.ts';

/** Where a system hides the key of `encryption: "device"`. */
const DEVICE_KEY = 'device';

/** A device: its clients, their directories, and what its system says. */
export class FakeHost implements Host {
  readonly #serverAt: (url: string) => FakeServer;
  readonly #clients = new Map<number, FakeCore>();
  readonly #disks = new Map<string, Disk>();
  readonly #listeners = new Set<EventsListener>();
  #lastClient = 0;
  #network: Network = { available: true, expensive: false, kind: 'unknown' };
  #app: AppState = 'active';
  #isReachable = true;

  /** `serverAt` says who answers at an address. */
  constructor(serverAt: (url: string) => FakeServer) {
    this.#serverAt = serverAt;
  }

  async open(text: string): Promise<string> {
    const { text: reply } = await answer(() => {
      const config = parseConfig(text);
      const server = this.#serverAt(config.url);
      const disk = this.#disk(config, server);
      bringUpToDate(disk, config.schema);
      // One client holds a directory: another that opens it takes it over.
      for (const core of this.#clients.values()) if (core.disk === disk) core.close();
      this.#lastClient += 1;
      const client = this.#lastClient;
      const emit = (events: Event[]) => {
        const told = packed(events);
        for (const listener of [...this.#listeners]) listener(client, told);
      };
      const surroundings = {
        network: this.#network,
        app: this.#app,
        isReachable: () => this.#isReachable,
        emit,
      };
      const core = new FakeCore(config, server, disk, surroundings);
      this.#clients.set(client, core);
      return { client };
    });
    return reply;
  }

  #disk(config: ClientConfig & DeviceOptions, server: FakeServer): Disk {
    const { directory, store, previousEncryptionKeys = [] } = config;
    const key = config.encryption === 'device' ? DEVICE_KEY : (config.encryptionKey ?? null);
    if (store === 'memory' || directory === undefined) return emptyDisk(server.newId(), key);
    const disk = this.#disks.get(directory) ?? emptyDisk(server.newId(), key);
    const isKnown =
      [key, ...previousEncryptionKeys].includes(disk.encryptionKey) || disk.encryptionKey === null;
    if (!isKnown) throw new Failure('wrong_key', 'the data is encrypted with another key');
    disk.encryptionKey = key;
    this.#disks.set(directory, disk);
    return disk;
  }

  call(client: number, command: Parcel): Promise<Parcel> {
    return answer(() => {
      const core = this.#clients.get(client);
      if (!core || core.isClosed) throw new Failure('closed', 'the client is closed');
      return core.execute(parseCommand(unpacked(command)));
    });
  }

  closeAll(): Promise<void> {
    for (const core of this.#clients.values()) core.close();
    this.#clients.clear();
    return Promise.resolve();
  }

  defaultDirectory(name: string): string {
    return `/fake/${name}`;
  }

  addEventsListener(listener: EventsListener): Unsubscribe {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A fake core logs nothing. */
  setLogSink(): string {
    return JSON.stringify({ ok: {} });
  }

  /** What the system says of the app. */
  setAppState(state: AppState): void {
    this.#app = state;
    this.#tellAll({ type: 'setAppState', state });
  }

  /** What the system says of the network. */
  setNetwork(available: boolean, expensive = false, kind = available ? 'wifi' : 'none'): void {
    this.#network = { available, expensive, kind };
    this.#tellAll({ type: 'setNetwork', network: this.#network });
  }

  /** The device has no network: connections break, and nobody can be reached. */
  goOffline(): void {
    this.#isReachable = false;
    this.setNetwork(false);
    for (const core of this.#clients.values()) core.dropConnection();
  }

  /** The network is there again. */
  goOnline(): void {
    this.#isReachable = true;
    this.setNetwork(true);
  }

  #tellAll(command: Parameters<FakeCore['execute']>[0]): void {
    for (const core of this.#clients.values()) if (!core.isClosed) core.execute(command);
  }
}

async function answer(work: () => unknown): Promise<Parcel> {
  let envelope: Envelope<unknown>;
  try {
    envelope = { ok: await work() };
  } catch (error) {
    if (!(error instanceof Failure || error instanceof SynclineError)) throw error;
    envelope = { error: error.body };
  }
  return packed(envelope);
}
