// The hooks that work with a client for documents, and so with every client.
export {
  type CollectionActions,
  type CollectionQuery,
  useCollection,
  type UseCollection,
} from './use-collection.ts';
export { useConflicts, type UseConflicts } from './use-conflicts.ts';
export {
  type DeclaredDocument,
  type DocumentActions,
  type DocumentSnapshot,
  useDocument,
  type UseDocument,
} from './use-document.ts';
export {
  type InfiniteQuery,
  useInfiniteCollection,
  type UseInfiniteCollection,
} from './use-infinite-collection.ts';
export { useOfflineQueueStatus } from './use-offline-queue-status.ts';
export { useOutcomes, type UseOutcomes } from './use-outcomes.ts';
export { type SocketConnection, useSocketConnection } from './use-socket-connection.ts';
export {
  useSuspenseCollection,
  type UseSuspenseCollection,
  useSuspenseDocument,
  type UseSuspenseDocument,
} from './use-suspense.ts';
export { type HealthLevel, type SyncHealth, useSyncHealth } from './use-sync-health.ts';
export { useSyncProgress } from './use-sync-progress.ts';
