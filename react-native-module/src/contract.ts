// What crosses between JavaScript and the core, as JSON. Generated from the Rust types; do not edit.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type Fields = { [key: string]: Json };

export type ErrorCode =
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

export type ErrorBody = { code: ErrorCode; message: string; retryable: boolean };

export type Settings = { [name: string]: number };

export type Config = {
  url: string;
  directory?: string;
  store?: 'disk' | 'memory';
  path?: string;
  token?: string;
  parser?: 'msgpack' | 'json';
  caPem?: string;
  autoConnect?: boolean;
  settings?: Partial<Settings>;
};

export type Op =
  | { set: Json }
  | 'unset'
  | { increment: number }
  | { union: Json[] }
  | { remove: Json[] }
  | { append: Json[] }
  | 'server_time';

export type WriteKind = { create: Fields } | { update: { [path: string]: Op } } | 'delete';

export type Write = { room: string; collection: string; id: string; write: WriteKind };

export type Row = { id: string; fields: Fields; seq: number; pending: boolean };

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

export type Outcome = {
  clientSeq: number;
  room: string;
  collection: string;
  id: string;
  write: WriteKind;
  error: ErrorBody;
};

export type Member = {
  clientId: string;
  userId: string;
  state: Fields;
  status: 'active' | 'away';
  me: boolean;
};

export type Progress = {
  phase: 'idle' | 'preparing' | 'uploading' | 'downloading' | 'complete' | 'error';
  uploaded: number;
  toUpload: number;
  downloaded: number;
};

export type Percentiles = { p50: number; p99: number };

export type Stats = {
  clientId: string;
  localWrites: number;
  localWriteUs: Percentiles;
  syncMs: Percentiles;
  recoveryMs: number | null;
  rttMs: Percentiles;
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
  | { type: 'write'; writes: Write[] }
  | { type: 'newId' }
  | { type: 'document'; room: string; collection: string; id: string }
  | { type: 'watch'; room: string; collection: string; id?: string }
  | { type: 'unwatch'; watch: number }
  | { type: 'presenceJoin'; room: string; state: Fields }
  | { type: 'presenceUpdate'; room: string; state: Fields }
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
  | { type: 'presence'; room: string; members: Member[] }
  | { type: 'progress'; progress: Progress }
  | { type: 'outcome'; outcome: Outcome }
  | { type: 'tokenNeeded'; reason: ErrorBody }
  | { type: 'user'; userId: string; online: boolean }
  | { type: 'error'; error: ErrorBody };
