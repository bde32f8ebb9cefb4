// better-sqlite3: opens a database with a queue in it, and reads and parses every row.

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import Database from 'better-sqlite3';

import { operationsOf, serve } from './contender.mjs';

const TEXT = 'x'.repeat(164);

function fill(path, entries) {
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.exec(
    'CREATE TABLE queue (seq INTEGER PRIMARY KEY, room TEXT, collection TEXT, id TEXT, fields TEXT) STRICT',
  );
  const insert = database.prepare('INSERT INTO queue (room, collection, id, fields) VALUES (?, ?, ?, ?)');
  database.transaction(() => {
    for (let position = 1; position <= entries; position += 1) {
      const fields = { done: false, position, text: TEXT };
      insert.run('user:bench', 'notes', randomUUID(), JSON.stringify(fields));
    }
  })();
  database.close();
}

function reopen(path, entries) {
  const begin = performance.now();
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  const queue = [];
  let first;
  for (const row of database.prepare('SELECT * FROM queue ORDER BY seq').iterate()) {
    queue.push({ ...row, fields: JSON.parse(row.fields) });
    first ??= performance.now() - begin;
  }
  const all = performance.now() - begin;
  database.close();
  if (queue.length !== entries) throw new Error('entries are missing');
  return { first, all };
}

await serve(({ samples, work }) => {
  const entries = operationsOf(work);
  const path = join(process.argv[2], `${entries}.db`);
  if (!existsSync(path)) fill(path, entries);
  const opened = Array.from({ length: samples }, () => reopen(path, entries));
  return { values: opened.map(({ all }) => all), also: [opened.map(({ first }) => first)] };
});
