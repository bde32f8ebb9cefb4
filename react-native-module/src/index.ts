import { SyncClient } from './client.ts';
import type { LogLevel } from './contract.ts';
import type { Host } from './host.ts';
import { type Logger, setHostLogger } from './logger.ts';
import { nativeHost } from './native.ts';
import type { SyncOptions } from './options.ts';

/** Makes a client for use with or without React. It opens at its first use. */
export function createSyncClient(options: SyncOptions, host?: Host): SyncClient {
  return new SyncClient(options, () => host ?? nativeHost());
}

/** Sets who gets the log of the core, and from which level on; null ends it. */
export function setLogger(level: LogLevel, logger: Logger | null, host?: Host): void {
  setHostLogger(host ?? nativeHost(), level, logger);
}

export {
  type BackgroundSyncOptions,
  BackgroundSyncResult,
  BackgroundSyncStatus,
  getBackgroundSyncStatus,
  isBackgroundSyncRegistered,
  registerBackgroundSync,
  runBackgroundSync,
  unregisterBackgroundSync,
} from './background.ts';
export { type QueryInvalidator, type QueryKey, useSyncClient } from './hooks/context.ts';
export * from './hooks/core.ts';
export { SynclineProvider, type SynclineProviderProps } from './hooks/provider.tsx';
export { useDeadLetters, type UseDeadLetters } from './hooks/use-dead-letters.ts';
export {
  type OfflineMutation,
  type OfflineMutationOptions,
  useOfflineMutation,
} from './hooks/use-offline-mutation.ts';
export { useOfflineQueue, type UseOfflineQueue } from './hooks/use-offline-queue.ts';
export { useDebugLog } from './hooks/use-debug-log.ts';
export { usePresence } from './hooks/use-presence.ts';
export { type SocketEmit, type SocketEmitOptions, useSocketEmit } from './hooks/use-socket-emit.ts';
export {
  type SocketEventOptions,
  type SocketEventSpec,
  useEntityEvents,
  useSocketEvent,
} from './hooks/use-socket-event.ts';
export { useSyncStats, useSyncTrace } from './hooks/use-sync-trace.ts';
export { type Typing, type TypingOptions, useTyping } from './hooks/use-typing.ts';
export {
  type UserData,
  type UserDataOptions,
  UserDataProvider,
  type UserDataProviderProps,
  useUserData,
  useUserDataSync,
} from './hooks/use-user-data.tsx';
export { useUserOnline } from './hooks/use-user-online.ts';
export * from './shared.ts';
