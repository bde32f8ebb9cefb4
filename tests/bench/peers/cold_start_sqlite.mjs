// better-sqlite3: opens a database of documents and a queue, reads the queue, and selects.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

import Database from 'better-sqlite3';

import { operationsOf, serve } from './contender.mjs';

const DOCUMENTS = 10_000;
const QUEUED = 1_000;
const TEXT = 'x'.repeat(164);

const path = join(process.argv[2], 'cold.db');

function fill() {
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.exec(`
    CREATE TABLE notes (id TEXT PRIMARY KEY, position INTEGER, fields TEXT) STRICT;
    CREATE INDEX by_position ON notes (position);
    CREATE TABLE queue (seq INTEGER PRIMARY KEY, id TEXT, fields TEXT) STRICT;
  `);
  const document = database.prepare('INSERT INTO notes VALUES (?, ?, ?)');
  const queued = database.prepare('INSERT INTO queue (id, fields) VALUES (?, ?)');
  database.transaction(() => {
    for (let position = 0; position < DOCUMENTS + QUEUED; position += 1) {
      const [id, fields] = [randomUUID(), JSON.stringify({ done: false, position, text: TEXT })];
      document.run(id, position, fields);
      if (position >= DOCUMENTS) queued.run(id, fields);
    }
  })();
  database.close();
}

function start(limit) {
  const begin = performance.now();
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  const read = (row) => ({ ...row, fields: JSON.parse(row.fields) });
  const queue = database.prepare('SELECT * FROM queue ORDER BY seq').all().map(read);
  const opened = performance.now() - begin;
  const rows = database.prepare('SELECT * FROM notes ORDER BY position LIMIT ?').all(limit).map(read);
  const shown = performance.now() - begin;
  database.close();
  if (queue.length !== QUEUED || rows.length !== limit) throw new Error('rows are missing');
  return { opened, shown };
}

fill();
await serve(({ samples, work }) => {
  const started = Array.from({ length: samples }, () => start(operationsOf(work)));
  return { values: started.map(({ shown }) => shown), also: [started.map(({ opened }) => opened)] };
});
