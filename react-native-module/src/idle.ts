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
export const IDLE_PROGRESS: Progress = {
  phase: 'idle',
  uploaded: 0,
  toUpload: 0,
  downloaded: 0,
  roomsLive: 0,
  roomsToLoad: 0,
};
export const EMPTY_QUEUE: QueueStatus = {
  count: 0,
  bytes: 0,
  processing: false,
  writes: 0,
  events: 0,
  requests: 0,
  handlers: 0,
  deadLetters: 0,
  paused: false,
};
