import type { CoreClient } from './core-client.ts';
import { invalid } from './error.ts';

/** Whether the system wakes apps up, as `BackgroundTaskStatus` of expo-background-task numbers it. */
export const BackgroundSyncStatus = { Restricted: 1, Available: 2 } as const;
export type BackgroundSyncStatus = (typeof BackgroundSyncStatus)[keyof typeof BackgroundSyncStatus];

/** What became of a round, as `BackgroundTaskResult` of expo-background-task numbers it. */
export const BackgroundSyncResult = { Success: 1, Failed: 2 } as const;
export type BackgroundSyncResult = (typeof BackgroundSyncResult)[keyof typeof BackgroundSyncResult];

export interface BackgroundSyncOptions {
  /** Minutes at least between two rounds; the system decides when one comes. 15 when absent, and at the least on Android. */
  readonly minimumInterval?: number;
  /** How long a round may take. 25,000 when absent. */
  readonly deadlineMs?: number;
}

const MINUTE_MS = 60_000;
const DEADLINE_MS_DEFAULT = 25_000;

/**
 * From now on the system wakes the app up for a round of synchronization, without JavaScript. It holds until
 * `unregisterBackgroundSync`, or until a client of that name is opened without it: call it where the client is made.
 * Where nothing can wake the app up, as in Expo Go and on Node, it changes nothing and says `Restricted`.
 */
export async function registerBackgroundSync(
  client: CoreClient,
  { minimumInterval, deadlineMs }: BackgroundSyncOptions = {},
): Promise<BackgroundSyncStatus> {
  if (minimumInterval !== undefined) checkPositive(minimumInterval, 'minimumInterval');
  if (deadlineMs !== undefined) checkPositive(deadlineMs, 'deadlineMs');
  const status = await getBackgroundSyncStatus(client);
  if (status === BackgroundSyncStatus.Available) {
    await client.setBackground({
      ...(minimumInterval !== undefined && { everyMs: Math.round(minimumInterval * MINUTE_MS) }),
      ...(deadlineMs !== undefined && { deadlineMs: Math.round(deadlineMs) }),
    });
  }
  return status;
}

/** No more rounds for this client. What the device has kept for them is forgotten. */
export async function unregisterBackgroundSync(client: CoreClient): Promise<void> {
  await client.setBackground(null);
}

export function isBackgroundSyncRegistered(client: CoreClient): boolean {
  return client.background !== null;
}

/** Whether the system may wake the app up; on iOS it must be permitted by the config plugin. */
export function getBackgroundSyncStatus(client: CoreClient): Promise<BackgroundSyncStatus> {
  return Promise.resolve(
    client.isBackgroundPermitted ? BackgroundSyncStatus.Available : BackgroundSyncStatus.Restricted,
  );
}

/**
 * One round with JavaScript, for a task of expo-background-task: `defineTask(NAME, () => runBackgroundSync(client))`.
 * Handlers of jobs run in it, too.
 */
export async function runBackgroundSync(
  client: CoreClient,
  { deadlineMs = DEADLINE_MS_DEFAULT }: Pick<BackgroundSyncOptions, 'deadlineMs'> = {},
): Promise<BackgroundSyncResult> {
  const { complete } = await client.syncOnce({ deadlineMs: checkPositive(deadlineMs, 'deadlineMs') });
  return complete ? BackgroundSyncResult.Success : BackgroundSyncResult.Failed;
}

function checkPositive(value: number, name: string): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw invalid(`${name} must be a positive number`);
}
