// TanStack Query over Syncline: live queries, targeted invalidation, offline mutations, persistence.
export {
  type EntityQueries,
  followOnline,
  type Invalidations,
  invalidateOn,
  invalidateOnReconnect,
  updateOn,
} from './tanstack-query/events.ts';
export {
  type AnyOfflineMutation,
  MutationFailure,
  offlineMutation,
  type OfflineMutationDefinition,
  resumeOfflineMutations,
} from './tanstack-query/mutations.ts';
export {
  createSynclinePersister,
  type PersistedQueries,
  type PersisterOptions,
  type SynclinePersister,
  type TextStorage,
} from './tanstack-query/persister.ts';
export {
  collectionPages,
  collectionQuery,
  followQueries,
  type SynclineQuery,
} from './tanstack-query/queries.ts';
