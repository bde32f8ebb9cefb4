import type { AppState, Event, Network, RejectedWrite, Settings, TraceKind, Write } from '../contract.ts';
import type { Backend, Connection } from './backend.ts';
import type { Failure } from './errors.ts';
import type { Ended, Job } from './job-rules.ts';
import type { HybridTime, StoredDocument, Version } from './merge.ts';
import type { Parked } from './outbox.ts';

/** A write that is not confirmed yet. */
export interface Pending {
  readonly seq: number;
  /** The number that the app knows: that of its first attempt. */
  readonly acceptedSeq: number;
  readonly acceptedTime: HybridTime;
  readonly room: string;
  readonly collection: string;
  readonly id: string;
  readonly write: Write;
  readonly time: HybridTime;
  readonly base: Version | null;
  readonly queuedAtMs: number;
}

export interface StoredRoom {
  /** How far the log of the room was read. */
  cursor: number;
  /** Whether the documents were once all there are. */
  isComplete: boolean;
  readonly documents: Map<string, StoredDocument>;
}

/** What outlives a client: the directory of the real core, in memory. */
export interface Disk {
  clientId: string;
  encryptionKey: string | null;
  lastSeq: number;
  lastTime: HybridTime;
  pending: Pending[];
  readonly parked: Map<number, Parked>;
  readonly outcomes: Map<number, RejectedWrite>;
  readonly rooms: Map<string, StoredRoom>;
  lastJob: number;
  readonly jobs: Map<number, Job>;
  readonly ended: Map<number, Ended>;
}

export function emptyDisk(clientId: string, encryptionKey: string | null): Disk {
  return {
    clientId,
    encryptionKey,
    lastSeq: 0,
    lastTime: [0, 0],
    pending: [],
    parked: new Map(),
    outcomes: new Map(),
    rooms: new Map(),
    lastJob: 0,
    jobs: new Map(),
    ended: new Map(),
  };
}

/** The device around a client. */
export interface Surroundings {
  readonly network: Network;
  readonly app: AppState;
  /** Whether anybody can be reached, whatever the system says of the network. */
  readonly isReachable: () => boolean;
  readonly emit: (events: Event[]) => void;
}

/** What the parts of a fake core need of each other. */
export interface Context {
  readonly settings: Settings;
  readonly disk: Disk;
  readonly backend: Backend;
  readonly nowMs: number;
  /** While the session is open. */
  readonly connection: Connection | null;
  /** Tells the app of something once. */
  notice(event: Event): void;
  trace(kind: TraceKind, detail: string): void;
  /** A document, or its pending writes, changed. */
  touch(room: string, collection: string, id: string): void;
  /** Asks the server; the answer is lost with the connection. */
  ask<T>(question: (connection: Connection) => T, answered: (answer: T | Failure) => void): void;
  newId(): string;
}
