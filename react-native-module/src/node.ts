import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

import { SyncClient } from './client.ts';
import { invalid, SynclineError } from './error.ts';
import type { LogLevel } from './contract.ts';
import type { EventsListener, Host } from './host.ts';
import { type Logger, setHostLogger } from './logger.ts';
import type { OpenOptions, SyncOptions } from './options.ts';

/** Names the file of the addon when the caller does not. */
const ADDON_VARIABLE = 'SYNCLINE_NODE_ADDON';

interface Addon {
  open(config: string, onEvents: EventsListener): Promise<string>;
  call(client: number, command: string): Promise<string>;
  setAppState(state: 'active' | 'inactive' | 'background'): void;
  setNetwork(available: boolean, expensive: boolean, kind: string): void;
  closeAll(): Promise<void>;
  setLogSink(level: string, onLines: ((lines: string) => void) | null): string;
}

/** The core within this process. What a phone tells the core by itself, a Node program tells it here. */
export interface NodeHost extends Host {
  setAppState(state: 'active' | 'inactive' | 'background'): void;
  setNetwork(available: boolean, expensive: boolean, kind: string): void;
}

export interface NodeHostOptions {
  /** The built addon, `syncline.node`; by default what the variable SYNCLINE_NODE_ADDON names. */
  readonly addon?: string;
  /** Holds a folder per client; by default `.syncline` in the user's home. */
  readonly directory?: string;
}

/** Loads the addon. Events alone do not keep the process alive. */
export function createNodeHost(options: NodeHostOptions = {}): NodeHost {
  const addon = load(options.addon ?? (process.env[ADDON_VARIABLE] as string | undefined));
  const directory = options.directory ?? join(homedir(), '.syncline');
  const listeners = new Set<EventsListener>();
  const onEvents: EventsListener = (client, events) => {
    for (const listener of [...listeners]) listener(client, events);
  };
  return {
    open: async (config) => addon.open(withoutDevice(config), onEvents),
    call: (client, command) => addon.call(client, command),
    closeAll: () => addon.closeAll(),
    setAppState: (state) => {
      addon.setAppState(state);
    },
    setNetwork: (available, expensive, kind) => {
      addon.setNetwork(available, expensive, kind);
    },
    setLogSink: (level, sink) => addon.setLogSink(level, sink),
    defaultDirectory: (name) => join(directory, name),
    addEventsListener(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** What an app asks of a phone: nobody wakes a Node process, and nobody keeps its keys. */
function withoutDevice(config: string): string {
  const { background, encryption, ...core } = JSON.parse(config) as OpenOptions;
  if (encryption !== undefined) throw invalid('encryption "device" needs a phone: give an encryptionKey');
  return background === undefined ? config : JSON.stringify(core);
}

function load(file: string | undefined): Addon {
  if (file === undefined) throw unavailable(`no addon was given, and ${ADDON_VARIABLE} names none`);
  const path = resolve(file);
  try {
    return createRequire(path)(path) as Addon;
  } catch (cause) {
    throw unavailable(`the addon ${path} cannot be loaded`, cause);
  }
}

function unavailable(message: string, cause?: unknown): SynclineError {
  return new SynclineError({ code: 'unavailable', message, retry: 'never' }, { cause });
}

let defaultHost: Host | null = null;

/** Sets who gets the log of the core, and from which level on; null ends it. */
export function setLogger(level: LogLevel, logger: Logger | null, host?: Host): void {
  setHostLogger(host ?? (defaultHost ??= createNodeHost()), level, logger);
}

/** Makes a client for Node. It opens at its first use. */
export function createSyncClient(options: SyncOptions, host?: Host): SyncClient {
  return new SyncClient(options, () => host ?? (defaultHost ??= createNodeHost()));
}

export * from './shared.ts';
