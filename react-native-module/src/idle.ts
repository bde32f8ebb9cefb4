// What is shown while nothing is known.
import type { ConnectionStatus, Progress, QueueStatus } from './contract.ts';

export const IDLE_CONNECTION: ConnectionStatus = {
  state: 'idle',
  reason: null,
  cause: null,
  data: null,
  recovered: false,
  attempts: 0,
  retryInMs: null,
  userId: null,
};
export const EMPTY_QUEUE: QueueStatus = { count: 0, bytes: 0, processing: false };
export const IDLE_PROGRESS: Progress = {
  phase: 'idle',
  uploaded: 0,
  toUpload: 0,
  downloaded: 0,
  roomsLive: 0,
  roomsToLoad: 0,
};
