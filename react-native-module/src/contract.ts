// What crosses between JavaScript and the core, as JSON. Generated from the Rust types; do not edit.

export type JsonValue = number | string | boolean | Array<JsonValue> | { [key in string]?: JsonValue } | null;

export type Code =
  | 'no_auth_token'
  | 'unauthorized'
  | 'forbidden'
  | 'offline'
  | 'unreachable'
  | 'invalid_url'
  | 'invalid'
  | 'too_large'
  | 'not_found'
  | 'queue_full'
  | 'in_use'
  | 'disk_full'
  | 'storage'
  | 'protocol'
  | 'unsupported_protocol'
  | 'timeout'
  | 'closed'
  | 'rate_limited'
  | 'conflict'
  | 'unavailable'
  | 'internal';

export type ErrorBody = { code: Code; message: string; retryable: boolean };

export type Settings = {
  connectTimeoutMs: number;
  reconnectDelayMs: number;
  reconnectDelayMsMax: number;
  offlineProbeMs: number;
  requestTimeoutMs: number;
  probeTimeoutMs: number;
  presencePingMs: number;
  backgroundGraceMs: number;
  cacheFlushMs: number;
  retryDelayMs: number;
  queueCountMax: number;
  queueBytesMax: number;
  documentBytesMax: number;
  pushCountMax: number;
  pushBytesMax: number;
  pushWindowBytes: number;
  pageCountMax: number;
  tokenRequired: boolean;
};

export type StoreKind = 'disk' | 'memory';

export type ClientConfig = {
  url: string;
  path?: string;
  directory?: string;
  store?: StoreKind;
  token?: string;
  parser?: 'json' | 'msgpack';
  caPem?: string;
  autoConnect?: boolean;
  settings?: Partial<Settings>;
};

export type Op =
  | { set: JsonValue }
  | 'unset'
  | { increment: number }
  | { union: JsonValue[] }
  | { remove: JsonValue[] }
  | { append: JsonValue[] }
  | 'server_time';

export type Write = { create: Record<string, JsonValue> } | { update: { [path: string]: Op } } | 'delete';

export type WriteRequest = { room: string; collection: string; id: string; write: Write };

export type Row = { id: string; fields: Record<string, JsonValue>; seq: number; pending: boolean };

export type ConnectionState =
  'idle' | 'connecting' | 'open' | 'backoff' | 'suspended' | 'offline' | 'unauthorized' | 'closed';

export type ConnectionStatus = {
  state: ConnectionState;
  reason: ErrorBody | null;
  attempts: number;
  retryInMs: number | null;
  userId: string | null;
};

export type RoomStatus = {
  room: string;
  state: 'waiting' | 'loading' | 'live' | 'denied';
  complete: boolean;
  error: ErrorBody | null;
};

export type QueueStatus = { count: number; bytes: number; processing: boolean };

export type RejectedWrite = {
  clientSeq: number;
  room: string;
  collection: string;
  id: string;
  write: Write;
  error: ErrorBody;
};

export type PresentMember = {
  clientId: string;
  userId: string;
  state: Record<string, JsonValue>;
  status: 'active' | 'away';
  me: boolean;
};

export type Progress = {
  phase: 'idle' | 'preparing' | 'uploading' | 'downloading' | 'complete' | 'error';
  uploaded: number;
  toUpload: number;
  downloaded: number;
};

export type Quantiles = { p50: number; p99: number };

export type Stats = {
  clientId: string;
  localWrites: number;
  localWriteUs: Quantiles;
  syncMs: Quantiles;
  recoveryMs: number | null;
  rttMs: Quantiles;
  bytesSent: number;
  bytesReceived: number;
  journalBytes: number;
  cacheBytes: number;
  reconnects: number;
  confirmed: number;
  rejected: number;
};

export type Command =
  | { type: 'connect' }
  | { type: 'disconnect' }
  | { type: 'setToken'; token: string | null }
  | { type: 'subscribe'; room: string }
  | { type: 'unsubscribe'; room: string }
  | { type: 'write'; writes: WriteRequest[] }
  | { type: 'newId' }
  | { type: 'document'; room: string; collection: string; id: string }
  | { type: 'watch'; room: string; collection: string; id?: string | null }
  | { type: 'unwatch'; watch: number }
  | { type: 'presenceJoin'; room: string; state: Record<string, JsonValue> }
  | { type: 'presenceUpdate'; room: string; state: Record<string, JsonValue> }
  | { type: 'presenceLeave'; room: string }
  | { type: 'connection' }
  | { type: 'queue' }
  | { type: 'outcomes' }
  | { type: 'acknowledgeOutcome'; clientSeq: number }
  | { type: 'syncNow' }
  | { type: 'stats' }
  | { type: 'close' };

export type Event =
  | { type: 'connection'; status: ConnectionStatus }
  | { type: 'room'; status: RoomStatus }
  | { type: 'rows'; watch: number; reset: boolean; upserted: Row[]; removed: string[] }
  | { type: 'queue'; status: QueueStatus }
  | { type: 'presence'; room: string; members: PresentMember[] }
  | { type: 'progress'; progress: Progress }
  | { type: 'outcome'; outcome: RejectedWrite }
  | { type: 'tokenNeeded'; reason: ErrorBody }
  | { type: 'user'; userId: string; online: boolean }
  | { type: 'error'; error: ErrorBody };
