// What a core tells of itself: its queue, its progress, its figures.
import type { ConnectionState, Progress, ProgressPhase, QueueStatus, Stats } from '../contract.ts';
import { IDLE_PROGRESS } from '../idle.ts';
import type { Disk } from './context.ts';
import type { Jobs } from './jobs.ts';
import type { Outbox } from './outbox.ts';
import type { Replica } from './replica.ts';
import type { Session } from './session.ts';
import { byteLength } from './values.ts';

/** A fake measures no time: none passes. */
const NONE = { p50: 0, p95: 0, p99: 0 };

export function queueStatus(outbox: Outbox, jobs: Jobs): QueueStatus {
  return {
    count: outbox.count + jobs.waiting,
    bytes: outbox.bytes + jobs.bytes,
    processing: outbox.isPushing || jobs.isRunning,
    writes: outbox.count,
    events: jobs.count('event'),
    requests: jobs.count('request'),
    handlers: jobs.count('handler'),
    deadLetters: jobs.dead,
    paused: jobs.isPaused,
  };
}

/** How far the round has come: it ends with `complete`, and the next begins at zero. */
export class ProgressMeter {
  #last: Progress = IDLE_PROGRESS;

  /** The progress, if it is not what was last returned. */
  poll(session: Session, replica: Replica, outbox: Outbox): Progress | null {
    const { live: roomsLive, toLoad: roomsToLoad } = replica.counts;
    const [uploaded, downloaded, toUpload] = [outbox.uploaded, replica.downloaded, outbox.count];
    const phase = phaseOf(session.state, session.reason !== null, roomsToLoad, toUpload);
    const isComplete = phase === 'complete';
    if (isComplete && uploaded === 0 && downloaded === 0 && this.#last.phase === 'complete') return null;
    const progress = { phase, uploaded, toUpload, downloaded, roomsLive, roomsToLoad };
    if (isComplete) {
      outbox.uploaded = 0;
      replica.downloaded = 0;
    }
    const isNew = JSON.stringify(progress) !== JSON.stringify(this.#last);
    this.#last = progress;
    return isNew ? progress : null;
  }
}

function phaseOf(
  state: ConnectionState,
  hasFailed: boolean,
  toLoad: number,
  toUpload: number,
): ProgressPhase {
  if (state === 'connecting') return 'preparing';
  if (state !== 'open') return hasFailed ? 'error' : 'idle';
  if (toLoad > 0) return 'downloading';
  return toUpload > 0 ? 'uploading' : 'complete';
}

export interface StatsSource {
  readonly disk: Disk;
  readonly state: ConnectionState;
  readonly outbox: Outbox;
  readonly jobs: Jobs;
  readonly uptimeMs: number;
  readonly nowMs: number;
  readonly reconnects: number;
}

export function statsOf({ disk, state, outbox, jobs, uptimeMs, nowMs, reconnects }: StatsSource): Stats {
  const { accepted, confirmed, rejected, conflicts } = outbox.counters;
  const oldest = disk.pending[0]?.queuedAtMs;
  const kinds = (['event', 'request', 'handler'] as const).map((kind) => {
    return { kind, count: jobs.count(kind), oldestMs: jobs.oldestMs(kind) };
  });
  const journalBytes = outbox.bytes + jobs.bytes;
  const rooms = [...disk.rooms.values()];
  const cacheBytes = rooms.reduce((sum, { documents }) => sum + byteLength([...documents.values()]), 0);
  return {
    clientId: disk.clientId,
    state,
    uptimeMs,
    localWrites: accepted,
    localWriteUs: NONE,
    syncMs: NONE,
    recoveryMs: null,
    rttMs: NONE,
    pushMs: { ...NONE, count: 0 },
    pullMs: { ...NONE, count: 0 },
    bytesSent: 0,
    bytesReceived: 0,
    journalBytes,
    cacheBytes,
    diskBytes: journalBytes + cacheBytes,
    reconnects,
    confirmed,
    rejected,
    conflicts,
    droppedNotices: 0,
    queue: [
      { kind: 'mutation', count: outbox.count, oldestMs: oldest === undefined ? null : nowMs - oldest },
      ...kinds,
    ],
  };
}
