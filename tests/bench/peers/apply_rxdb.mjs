// RxDB: its replication over HTTP with checkpoints, into its storage in memory. The live query is an index's first 50.

import { createServer } from 'node:http';

import { createRxDatabase } from 'rxdb/plugins/core';
import { replicateRxCollection } from 'rxdb/plugins/replication';
import { getRxStorageMemory } from 'rxdb/plugins/storage-memory';

import { contend, documentOf, DOCUMENTS, idOf } from './apply.mjs';

/** As many as Syncline asks for. */
const BATCH_SIZE = 1000;
const WINDOW = 50;

const SCHEMA = {
  version: 0,
  primaryKey: 'id',
  type: 'object',
  properties: {
    id: { type: 'string', maxLength: 36 },
    done: { type: 'boolean' },
    position: { type: 'integer', minimum: 0, maximum: DOCUMENTS, multipleOf: 1 },
    text: { type: 'string' },
  },
  required: ['id', 'done', 'position', 'text'],
  indexes: ['position'],
};

async function start() {
  const server = createServer((request, response) => {
    const query = new URL(request.url, 'http://localhost').searchParams;
    const from = Number(query.get('after'));
    const to = Math.min(from + Number(query.get('limit')), DOCUMENTS);
    const documents = [];
    for (let number = from; number < to; number += 1) {
      documents.push({ id: idOf(number), ...documentOf(number), _deleted: false });
    }
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ documents, checkpoint: { after: to } }));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${server.address().port}`;
}

async function pull(url, seen) {
  const database = await createRxDatabase({
    name: 'bench',
    storage: getRxStorageMemory(),
    multiInstance: false,
  });
  const { notes } = await database.addCollections({ notes: { schema: SCHEMA } });
  notes.find({ sort: [{ position: 'asc' }], limit: WINDOW }).$.subscribe((rows) => rows.length > 0 && seen());
  const replication = replicateRxCollection({
    collection: notes,
    replicationIdentifier: 'bench',
    live: false,
    pull: {
      batchSize: BATCH_SIZE,
      handler: async (checkpoint, limit) => {
        const response = await fetch(`${url}/?after=${checkpoint?.after ?? 0}&limit=${limit}`);
        return response.json();
      },
    },
  });
  await replication.awaitInitialReplication();
  return notes.count().exec();
}

await contend(import.meta.filename, { start, pull });
