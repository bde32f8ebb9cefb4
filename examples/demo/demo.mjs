// scripts/demo: reads the data, plays the story, prints what came of it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parseArguments, UsageError } from './src/arguments.mjs';
import { killAll, Server } from './src/processes.mjs';
import { collectionOf, readRecords } from './src/records.mjs';
import { play } from './src/scenario.mjs';
import { Screen } from './src/screen.mjs';

const EXIT_DIFFERENT = 1;
const EXIT_USAGE = 2;
const DIFFERENCES_SHOWN_MAX = 10;
/** What a shell reports for a program that a signal ended. */
const EXIT_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

async function main(args) {
  const { data, json, seed } = parseArguments(args);
  const file = data ?? fileURLToPath(new URL('node_modules/vega-datasets/data/movies.json', import.meta.url));
  const records = await readRecords(file);
  const collection = collectionOf(file);

  const screen = new Screen(process.stdout);
  screen.line(`Syncline: ${count(records.length)} documents from ${basename(file)}, two devices, one server`);
  const directory = mkdtempSync(join(tmpdir(), 'syncline-demo-'));
  cleanUpAtExit(directory);
  const server = await Server.start(process.env.SYNCLINE_SERVER_BIN, join(directory, 'server'));
  const result = await play({ file, records, collection, seed }, server, directory, screen);
  return report(result, json, screen);
}

/** Whatever ends the demo, its processes and its data go with it. */
function cleanUpAtExit(directory) {
  process.on('exit', () => {
    killAll();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  for (const [signal, code] of Object.entries(EXIT_SIGNAL)) {
    process.on(signal, () => process.exit(code));
  }
}

function report({ documents, lost, duplicated, differences, figures }, json, screen) {
  const local_write_us = quantiles(figures.localWriteUs, 1);
  const sync_ms = quantiles(figures.syncMs, 2);
  const recovery_ms = round(figures.recoveryMs, 1);
  screen.line();
  screen.table([
    ['local write, durable, p50', String(local_write_us.p50), 'µs'],
    ['local write, durable, p99', String(local_write_us.p99), 'µs'],
    ['sync from A to B, p50', String(sync_ms.p50), 'ms'],
    ['sync from A to B, p99', String(sync_ms.p99), 'ms'],
    [`recovery of ${figures.localWriteUs.length} edits after reconnect`, String(recovery_ms), 'ms'],
    ['sent by A and B', count(figures.bytesSent), 'bytes'],
    ['journal of A before reconnect', count(figures.journalBytes), 'bytes'],
  ]);
  screen.line();
  for (const difference of differences.slice(0, DIFFERENCES_SHOWN_MAX)) {
    screen.line(`  ${difference}`);
  }
  if (differences.length > DIFFERENCES_SHOWN_MAX) {
    screen.line(`  and ${differences.length - DIFFERENCES_SHOWN_MAX} more`);
  }
  const converged = differences.length === 0;
  const verdict = converged ? 'converged' : 'did not converge';
  screen.line(`demo: ${verdict}, ${documents} documents, ${lost} lost, ${duplicated} duplicated`);
  if (json) {
    const bytes_sent = figures.bytesSent;
    const journal_bytes = figures.journalBytes;
    screen.line(
      JSON.stringify({
        documents,
        lost,
        duplicated,
        local_write_us,
        sync_ms,
        recovery_ms,
        bytes_sent,
        journal_bytes,
      }),
    );
  }
  return converged ? 0 : EXIT_DIFFERENT;
}

function quantiles(values, digits) {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (fraction) => round(sorted[Math.ceil(sorted.length * fraction) - 1], digits);
  return { p50: at(0.5), p99: at(0.99) };
}

function round(number, digits) {
  return Number(number.toFixed(digits));
}

function count(number) {
  return number.toLocaleString('en-US');
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error) => {
    const usage = error instanceof UsageError;
    process.stderr.write(`demo: ${usage ? error.message : error.stack}\n`);
    process.exit(usage ? EXIT_USAGE : EXIT_DIFFERENT);
  },
);
