// The fake merges as the core does: the golden histories that every implementation of the rule replays.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Write } from '../../src/contract.ts';
import {
  applyMutation,
  fieldsInConflict,
  type HybridTime,
  type StoredDocument,
  type Version,
} from '../../src/testing/merge.ts';

interface History {
  readonly name: string;
  readonly now_ms: number;
  readonly steps: readonly {
    readonly writer: string;
    readonly mutation: {
      readonly client_seq: number;
      readonly collection: string;
      readonly id: string;
      readonly write: Write;
      readonly time: HybridTime;
      readonly base: Version | null;
    };
    readonly conflict: readonly string[] | null;
  }[];
  readonly document: StoredDocument | null;
}

const FILE = join(__dirname, '../../../tests/contract/merges.json');
const histories = JSON.parse(readFileSync(FILE, 'utf8')) as History[];

it.each(histories.map((history) => [history.name, history] as const))('%s', (_, history) => {
  let document: StoredDocument | null = null;
  for (const { writer, mutation, conflict } of history.steps) {
    const { client_seq: clientSeq, ...rest } = mutation;
    const ours = { ...rest, clientSeq };
    expect(document && fieldsInConflict(document, ours, writer)).toEqual(conflict);
    if (conflict === null) document = applyMutation(document, ours, writer, history.now_ms) ?? document;
  }
  expect(document).toEqual(history.document);
});
