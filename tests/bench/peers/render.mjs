// A list of many rows over a store, rendered by React without a screen: what a change costs the JavaScript thread.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { operationsOf, serve } from './contender.mjs';
import { idOf, ROWS } from './render_rows.mjs';

// As an app is shipped: React reads it as it is loaded.
process.env.NODE_ENV ??= 'production';

const PER_SECOND = 1_000;

const MODULE = join(import.meta.dirname, '../../../react-native-module');

/** One React for all: the one that the hooks have. */
export const required = createRequire(join(MODULE, 'package.json'));
/** A file of the hooks, as they are published. */
export const built = (file) => import(join(MODULE, 'build', file));

const { createElement, memo, useLayoutEffect } = required('react');
const { createRoot } = required('test-renderer');

/** Row components rendered. */
let rendered = 0;
/** Who waits until a row shows a position. */
let awaited = null;

const Row = memo(function Row({ row }) {
  rendered += 1;
  useLayoutEffect(() => {
    if (awaited?.id !== row.id || awaited.position !== row.position) return;
    awaited.seen();
    awaited = null;
  });
  return createElement('text', null, `${row.id} ${row.position}`);
});

function shows(id, position) {
  return new Promise((seen) => (awaited = { id, position, seen }));
}

/** Starts the process that the changes come from. */
export async function startSource(kind, directory) {
  const source = fork(join(import.meta.dirname, 'render_source.mjs'), [kind, directory], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  process.on('exit', () => source.kill());
  const [about] = await once(source, 'message');
  return { about, tell: (message) => source.send(message), end: () => source.kill() };
}

/**
 * Measures `useRows`, below `wrap`, which shows ROWS rows in the end: one change, and a stream of changes; both come from
 * `source`.
 */
export async function measure(source, useRows, wrap = (element) => element) {
  function List() {
    const rows = useRows();
    return createElement(
      'list',
      null,
      rows.map((row) => createElement(Row, { key: row.id, row })),
    );
  }
  const all = shows(idOf(ROWS - 1), ROWS - 1);
  createRoot({ textComponentTypes: ['text'] }).render(wrap(createElement(List)));
  await all;

  /** Never what a row shows already. */
  let position = ROWS;

  /** How many milliseconds the thread was busy with changes, which share it was, and how many rows were rendered. */
  async function watched(count, message) {
    position += count;
    const last = position - 1;
    const seen = shows(idOf(last), last);
    rendered = 0;
    const before = performance.eventLoopUtilization();
    source.tell({ ...message, from: position - count, count });
    await seen;
    const { active, utilization } = performance.eventLoopUtilization(before);
    return { ms: active, share: utilization * 100, rendered: rendered / count };
  }

  await serve(async ({ samples, work }) => {
    const count = operationsOf(work);
    const measured = [];
    for (let sample = 0; sample < samples; sample += 1) {
      measured.push(await watched(count, { perSecond: count === 1 ? null : PER_SECOND }));
    }
    return {
      values: measured.map(({ ms, share }) => (count === 1 ? ms : share)),
      also: [measured.map((one) => one.rendered)],
    };
  });
  source.end();
  process.exit();
}
