// What the peers of `apply` share: the documents, and a new process for each sample.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { operationsOf, serve } from './contender.mjs';

export const DOCUMENTS = 100_000;
/** Fills the document up to 206 bytes of JSON. */
const TEXT = 'x'.repeat(164);

const MAX_OLD_SPACE_MB = 4096;

export function documentOf(number) {
  return { done: false, position: number, text: TEXT };
}

/** Ids that sort as the documents were made, as long as a UUID. */
export function idOf(number) {
  return `018bcfe5-687b-7000-8000-${String(number).padStart(12, '0')}`;
}

/**
 * Runs a contender: `start` fills a server and gives its address, once; each sample is a process in which
 * `pull(url, seen)` makes a client and resolves to its count of documents when it has all. It calls `seen` when the
 * first are visible.
 */
export async function contend(script, { start, pull }) {
  const [, , mode, url] = process.argv;
  if (mode === 'pull') {
    process.stdout.write(JSON.stringify(await measured(pull, url)));
    process.exit();
  }
  const address = await start();
  await serve(async ({ samples, work }) => {
    const pulled = [];
    for (let sample = 0; sample < samples; sample += 1) {
      pulled.push(await inNewProcess(script, address));
    }
    return {
      values: pulled.map(({ allMs }) => (operationsOf(work) / allMs) * 1000),
      also: [pulled.map(({ firstMs }) => firstMs), pulled.map(({ peakMib }) => peakMib)],
    };
  });
}

async function measured(pull, url) {
  const begin = performance.now();
  let first;
  const count = await pull(url, () => (first ??= performance.now()));
  const end = performance.now();
  if (count !== DOCUMENTS) {
    throw new Error(`${count} documents`);
  }
  const peakMib = process.resourceUsage().maxRSS / 1024;
  return { allMs: end - begin, firstMs: (first ?? end) - begin, peakMib };
}

async function inNewProcess(script, url) {
  const options = [`--max-old-space-size=${MAX_OLD_SPACE_MB}`, script, 'pull', url];
  const { stdout } = await promisify(execFile)(process.execPath, options);
  return JSON.parse(stdout);
}
