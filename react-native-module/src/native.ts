import { requireNativeModule } from 'expo';

import { SynclineError } from './error.ts';
import type { Host, Parcel } from './host.ts';

type Listen<Event extends string, Payload> = (
  event: Event,
  listener: (payload: Payload) => void,
) => { remove(): void };

/** What the module in Swift and Kotlin offers. */
export interface SynclineModule {
  open(config: string): Promise<string>;
  call(client: number, text: string, attachments: readonly Uint8Array[]): Promise<Parcel>;
  closeAll(): Promise<void>;
  defaultDirectory(name: string): string;
  isBackgroundPermitted(): boolean;
  setLogSink(level: string, isWanted: boolean): string;
  addListener: Listen<'onSynclineEvents', { client: number } & Parcel> &
    Listen<'onSynclineLog', { lines: string }>;
}

let host: Host | null = null;

/** The core within the app, through the Expo module. */
export function nativeHost(): Host {
  host ??= adapt(findModule());
  return host;
}

function findModule(): SynclineModule {
  try {
    return requireNativeModule<SynclineModule>('Syncline');
  } catch (cause) {
    const message = 'The native module Syncline is missing: build the app anew (Expo Go cannot load it)';
    throw new SynclineError({ code: 'unavailable', message, retry: 'never' }, { cause });
  }
}

function adapt(module: SynclineModule): Host {
  let log: { remove(): void } | null = null;
  return {
    open: (config) => module.open(config),
    call: (client, { text, attachments }) => module.call(client, text, attachments),
    closeAll: () => module.closeAll(),
    defaultDirectory: (name) => module.defaultDirectory(name),
    isBackgroundPermitted: () => module.isBackgroundPermitted(),
    setLogSink(level, sink) {
      log?.remove();
      log =
        sink &&
        module.addListener('onSynclineLog', ({ lines }) => {
          sink(lines);
        });
      return module.setLogSink(level, sink !== null);
    },
    addEventsListener(listener) {
      const subscription = module.addListener('onSynclineEvents', ({ client, ...events }) => {
        listener(client, events);
      });
      return () => {
        subscription.remove();
      };
    },
  };
}
