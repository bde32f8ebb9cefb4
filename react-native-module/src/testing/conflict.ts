import type { ConflictStrategy, Write } from '../contract.ts';
import { compareStamps, newestStamp, type Stamp, type StoredDocument, type Version } from './merge.ts';

/** What becomes of a write in conflict: sent again in one of three ways, dropped, left to the app, or nothing. */
export type Decision = 'merge' | 'rebase' | 'override' | 'drop' | 'park' | 'settle';

export interface Dispute {
  readonly strategy: ConflictStrategy;
  readonly write: Write;
  readonly base: Version;
  /** When, and by whom, it was written first. */
  readonly written: Stamp;
  /** Null where the server holds nothing. */
  readonly document: StoredDocument | null;
}

export function decide({ strategy, write, base, written, document }: Dispute): Decision {
  const isGone = document?.deleted ?? true;
  if (write === 'delete' && isGone) return 'settle';
  if (document && strategy === 'merge') return 'merge';
  const isCreation = write !== 'delete' && 'create' in write;
  if (document && isCreation && isGone && Object.keys(base).length === 0) return 'override';
  const order = document ? compareStamps(written, newestStamp(document)) : null;
  if (strategy === 'manual') return 'park';
  if (strategy === 'server_wins' || order === null) return 'drop';
  if (strategy === 'last_write_wins' && order > 0) return 'rebase';
  if (strategy === 'first_write_wins' && order < 0) return 'override';
  return strategy === 'client_wins' ? 'override' : 'drop';
}
