// What a client for documents and a whole one have in common.
export type { SyncReport } from './channel.ts';
export type {
  BackgroundOptions,
  Code as ErrorCode,
  CollectionOptions,
  ConflictKind,
  ConflictStrategy,
  ConnectionState,
  ConnectionStatus,
  Cursor,
  DeadLetter,
  Direction,
  DisconnectCause,
  Enqueued,
  ErrorBody,
  Event,
  Index,
  JobError,
  JobInfo,
  JobOutcome,
  JobWork,
  JsonValue,
  LogLevel,
  LogLine,
  Migration,
  MigrationStep,
  NamespaceStatus,
  NewJob,
  ParkedWrite,
  PresentMember,
  PresentUser,
  ProcessReport,
  Progress,
  QueueStatus,
  RejectedWrite,
  Resolution,
  RetryClass,
  RoomStatus,
  Schema,
  Settings,
  Stats,
  TraceEvent,
  TraceKind,
  WriteRequest,
} from './contract.ts';
export { SynclineError } from './error.ts';
export type { EventsListener, Host } from './host.ts';
export type { Logger } from './logger.ts';
export type { Observable, Unsubscribe } from './observable.ts';
export {
  append,
  type Changes,
  type Document,
  FieldOp,
  type Fields,
  increment,
  type NumberPath,
  remove,
  serverTime,
  set,
  union,
  unset,
} from './ops.ts';
export type { Auth, SyncOptions } from './options.ts';
export { cursorOf, type Filter, type OrderBy, type Selection } from './queries.ts';
export * from './register.ts';
export { path, type PathOf, type PathValues } from './paths.ts';
export type { CollectionRef, DocumentRef, WatchRef } from './refs.ts';
export type { StandardSchema, Validation, Validator } from './validation.ts';
export type { PagesSnapshot } from './pages.ts';
export type { CollectionSnapshot, DataStatus } from './watches.ts';
