// The transcripts of the contract, through the addon.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

import { play, TranscriptFailure } from './support/transcript.mjs';

const ROOT = join(import.meta.dirname, '../../..');
const ADDON = resolve(process.env.SYNCLINE_NODE_ADDON ?? join(ROOT, 'target/fast/syncline.node'));
const addon = createRequire(ADDON)(ADDON);

function transcripts(folder) {
  const path = join(ROOT, 'tests/contract', folder);
  const files = readdirSync(path).filter((name) => name.endsWith('.json'));
  return files.sort().map((name) => [name, JSON.parse(readFileSync(join(path, name), 'utf8'))]);
}

for (const [name, transcript] of transcripts('transcripts')) {
  test(`${name}: ${transcript.title}`, () => play(addon, transcript));
}

for (const [name, transcript] of transcripts('transcripts/wrong')) {
  test(`wrong/${name} fails: ${transcript.title}`, async () => {
    const failure = await play(addon, transcript).then(
      () => assert.fail('it passed'),
      (error) => error,
    );
    assert.ok(failure instanceof TranscriptFailure, failure);
    assert.equal(failure.step, transcript.failsAt, failure.message);
  });
}
