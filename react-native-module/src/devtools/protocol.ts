// What the app and the panel tell each other over the channel of Expo's dev-tools plugins, shared by both sides.
import type {
  ConflictKind,
  ConnectionState,
  ConnectionStatus,
  DeadReason,
  DisconnectCause,
  ErrorBody,
  JobError,
  JobKind,
  JobState,
  LogLevel,
  LogLine,
  PresentMember,
  PresentUser,
  Progress,
  QueueStatus,
  Resolution,
  RoomPhase,
  Stats,
} from '../contract.ts';
import type { CoreQuery, DataStatus } from '../watches.ts';

/** Names the channel. */
export const PLUGIN_NAME = 'expo-syncline';

/** Of every message. Sides that speak different versions say so, and nothing else. */
export const PROTOCOL_VERSION = 1;

/** The methods of the channel, by who speaks. */
export const FROM_APP = 'syncline:app';
export const FROM_PANEL = 'syncline:panel';

/** At most this often an app tells what is new. */
export const PUBLISH_INTERVAL_MS = 250;
/** How often the figures are read while a panel is open. */
export const STATS_INTERVAL_MS = 1_000;
/** How often a panel says that it is open. */
export const PANEL_BEAT_MS = 2_000;
/** A panel that was silent for so long is gone; an app that was, too. */
export const SILENCE_MS = 10_000;
/** How long the panel waits for the answer to a command. */
export const ANSWER_TIMEOUT_MS = 15_000;
/** Panels that an app tells apart. */
export const PANELS_MAX = 8;
/** Apps that a panel tells apart; one more pushes out the one not heard for the longest. */
export const APPS_MAX = 16;
/** Changes of the connection that are kept. */
export const TIMELINE_MAX = 500;
/** Samples of the latency that are kept: ten minutes of them. */
export const LATENCY_MAX = 600;
/** Lines of the log that are kept. */
export const LOG_MAX = 2_000;
/** Of each list, so many of the first are shown. */
export const ITEMS_MAX = 200;
/** Of a value, so many characters of its JSON are shown. */
export const VALUE_CHARS_MAX = 8_192;

/** Levels that can be chosen. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const satisfies LogLevel[];

/** The first of many. */
export interface Listed<T> {
  readonly items: readonly T[];
  readonly total: number;
}

/** A value as JSON; one that is cut cannot be edited. */
export interface Shown {
  readonly text: string;
  readonly isCut: boolean;
}

export interface ShownJob {
  readonly job: number;
  readonly kind: JobKind;
  /** The event, the method and the address, or the key of the handler. */
  readonly title: string;
  readonly work: Shown;
  readonly lane: string;
  readonly state: JobState;
  readonly priority: number;
  readonly after: readonly number[];
  readonly attempts: number;
  readonly attemptsMax: number;
  readonly queuedAtMs: number;
  readonly expiresAtMs: number | null;
  readonly error: JobError | null;
}

export interface ShownLetter {
  readonly job: number;
  readonly kind: JobKind;
  readonly title: string;
  readonly work: Shown;
  readonly lane: string;
  readonly reason: DeadReason;
  readonly error: JobError;
  readonly attempts: number;
  readonly holdsLane: boolean;
  readonly diedAtMs: number;
}

interface ShownWrite {
  readonly clientSeq: number;
  readonly room: string;
  readonly collection: string;
  readonly id: string;
}

/** A write that the server refused. */
export interface ShownRejection extends ShownWrite {
  readonly error: ErrorBody;
  readonly write: Shown;
}

/** A write in conflict that waits for a decision. */
export interface ShownConflict extends ShownWrite {
  readonly kind: ConflictKind;
  readonly fields: readonly string[];
  readonly local: Shown;
  readonly server: Shown;
}

export type DocumentState = 'confirmed' | 'pending' | 'conflict';

export interface ShownDocument {
  readonly id: string;
  readonly state: DocumentState;
  readonly fields: Shown;
}

/** The documents of the query that the panel selected. */
export interface ShownDocuments {
  readonly query: CoreQuery;
  readonly status: DataStatus;
  readonly error: string | null;
  readonly rows: Listed<ShownDocument>;
}

export interface ShownRoom {
  readonly room: string;
  readonly state: RoomPhase;
  readonly complete: boolean;
  readonly error: ErrorBody | null;
}

export interface ShownPresence {
  readonly room: string;
  readonly users: readonly PresentUser[];
  readonly members: readonly PresentMember[];
  readonly error: string | null;
}

/** What is so now: each part is told anew when it changes. */
export interface Parts {
  readonly name: string;
  readonly connection: ConnectionStatus;
  readonly progress: Progress;
  readonly queue: QueueStatus;
  readonly jobs: Listed<ShownJob>;
  readonly deadLetters: Listed<ShownLetter>;
  readonly rejections: Listed<ShownRejection>;
  readonly conflicts: Listed<ShownConflict>;
  readonly queries: Listed<CoreQuery>;
  readonly documents: ShownDocuments | null;
  readonly rooms: Listed<ShownRoom>;
  readonly presence: Listed<ShownPresence>;
  readonly stats: Stats | null;
  /** Whether the panel's switch holds the client offline. */
  readonly isHeldOffline: boolean;
  readonly logLevel: LogLevel;
  /** Why there is no log. */
  readonly logError: string | null;
}

export interface TimelineEntry {
  readonly atMs: number;
  readonly state: ConnectionState;
  readonly cause: DisconnectCause | null;
  readonly reason: ErrorBody | null;
  readonly attempts: number;
  readonly recovered: boolean;
}

/** The percentiles as they were at a time, since the client was opened, in milliseconds. */
export interface LatencySample {
  readonly atMs: number;
  readonly rtt: { readonly p50: number; readonly p95: number };
  readonly push: { readonly p50: number; readonly p95: number };
}

/** What was: entries are told once, oldest first. */
export interface Histories {
  readonly timeline: readonly TimelineEntry[];
  readonly latency: readonly LatencySample[];
  readonly log: readonly LogLine[];
}

export const HISTORY_MAX: { readonly [Name in keyof Histories]: number } = {
  timeline: TIMELINE_MAX,
  latency: LATENCY_MAX,
  log: LOG_MAX,
};

/** What the panel asks an app to do. */
export type PanelCommand =
  | { readonly type: 'holdOffline'; readonly offline: boolean }
  | { readonly type: 'syncNow' }
  /** Queues a dead letter again, as it was or doing what this JSON says. */
  | { readonly type: 'retry'; readonly job: number; readonly work?: string }
  /** A job that waits does what this JSON says. */
  | { readonly type: 'edit'; readonly job: number; readonly work: string }
  | { readonly type: 'drop'; readonly job: number }
  | { readonly type: 'resolve'; readonly clientSeq: number; readonly resolution: Resolution }
  | { readonly type: 'acknowledge'; readonly clientSeq: number }
  /** Shows the documents of this query. */
  | { readonly type: 'select'; readonly query: CoreQuery | null }
  | { readonly type: 'setLogLevel'; readonly level: LogLevel };

interface Versioned {
  readonly version: number;
}

/** A client of an app: every app that the dev server knows hears every panel, and the other way round. */
interface OfApp extends Versioned {
  readonly app: string;
}

export type AppMessage = OfApp &
  (
    | { readonly type: 'state'; readonly sequence: number; readonly parts: Parts; readonly added: Histories }
    | {
        readonly type: 'update';
        readonly sequence: number;
        readonly parts: Partial<Parts>;
        readonly added: Partial<Histories>;
      }
    | { readonly type: 'answer'; readonly request: string; readonly error: ErrorBody | null }
    /** Nothing is new. */
    | { readonly type: 'alive' }
    | { readonly type: 'incompatible' }
    | { readonly type: 'gone' }
  );

export type PanelMessage = Versioned & { readonly panel: string } & (
    | { readonly type: 'beat' }
    /** Something was missed: tell the whole state. */
    | { readonly type: 'resync'; readonly app: string }
    | {
        readonly type: 'command';
        readonly app: string;
        readonly request: string;
        readonly command: PanelCommand;
      }
    | { readonly type: 'gone' }
  );

/** What either side uses of Expo's channel. */
export interface DevToolsChannel {
  sendMessage(method: string, message: unknown): void;
  addMessageListener(method: string, listener: (message: unknown) => void): { remove(): void };
}

/** A message of the other side, which may be of another version; null for what is none. */
export function readMessage<M extends AppMessage | PanelMessage>(message: unknown): M | null {
  if (typeof message !== 'object' || message === null) return null;
  const { version, type } = message as Partial<M>;
  return typeof version === 'number' && typeof type === 'string' ? (message as M) : null;
}

/** The last `max` of both, oldest first. */
export function appended<T>(entries: readonly T[], added: readonly T[], max: number): readonly T[] {
  return added.length === 0 ? entries : [...entries, ...added].slice(-max);
}

/** A name that nobody else has. */
export function newName(): string {
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
}
