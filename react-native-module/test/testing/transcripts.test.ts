// The fake behaves as the core does: it plays the transcripts that the hosts of the core play, and refuses the wrong ones.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { play, type Transcript, TranscriptFailure } from './support/transcript.ts';

const FOLDER = join(__dirname, '../../../tests/contract/transcripts');

function transcripts(folder: string): [string, Transcript][] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return files
    .sort()
    .map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as Transcript]);
}

it.each(transcripts(FOLDER))('%s', async (_, transcript) => {
  await play(transcript);
});

it.each(transcripts(join(FOLDER, 'wrong')))('wrong/%s fails where it says', async (_, transcript) => {
  const failure: unknown = await play(transcript).then(
    () => null,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(TranscriptFailure);
  expect((failure as TranscriptFailure).step).toBe(transcript.failsAt);
});
