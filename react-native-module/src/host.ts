import type { Unsubscribe } from './observable.ts';

/** Gets the events of every client of the process: a client's number and a JSON array. */
export type EventsListener = (client: number, events: string) => void;

/** Carries strings between JavaScript and the core. Implemented by the Expo module and the Node addon. */
export interface Host {
  open(config: string): Promise<string>;
  call(client: number, command: string): Promise<string>;
  closeAll(): Promise<void>;
  /** Where a client of this name keeps its files. */
  defaultDirectory(name: string): string;
  /** Whether the system may wake the app up for a round; absent where nothing can. */
  isBackgroundPermitted?(): boolean;
  addEventsListener(listener: EventsListener): Unsubscribe;
  /** Sets where the log of the process goes, a JSON array of lines at a time; null ends it. Returns the reply envelope. */
  setLogSink?(level: string, sink: ((lines: string) => void) | null): string;
}
