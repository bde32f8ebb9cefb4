// What every entry point with a whole client offers, on phones and on Node alike.
export type { SyncClient } from './client.ts';
export { type EntityHandlers, onEntity } from './entities.ts';
export { JobFailure } from './job-failure.ts';
export type { HandlerContext, JobHandler } from './job-handlers.ts';
export { type JobEnd, type JobOptions, JobQueue, type QueuedRequest } from './jobs.ts';
export type { MutationJob, MutationWork } from './mutations.ts';
export type { PresenceSnapshot } from './presence.ts';
export * from './shared-core.ts';
export {
  type AnswerOf,
  type AnyEvents,
  type ArgsOf,
  createSocket,
  type EmitResult,
  type EventsMap,
  type ListenerOf,
  type SentArgs,
  Socket,
  type SocketOptions,
  type TopicOf,
} from './socket.ts';
export type { StatsDelta } from './user-data.ts';
