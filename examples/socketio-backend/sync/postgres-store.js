// A store in Postgres, for any number of server processes.

import pg from 'pg';

import { EMPTY } from './checksum.js';

/** Refusals that are kept of a client in a room, by its last numbers. */
const REFUSALS_MAX = 10_000;
const CONNECTIONS_MAX = 10;
/** Less than a client waits for its answer, which is 20 s. */
const STATEMENT_TIMEOUT_MS = 10_000;

// Documents are `json`, not `jsonb`: that would refuse the NUL characters that a text may hold.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sync_rooms (
    room text PRIMARY KEY, seq bigint NOT NULL, checksum text NOT NULL);
  CREATE TABLE IF NOT EXISTS sync_documents (
    room text, collection text, id text, seq bigint NOT NULL, document json NOT NULL,
    PRIMARY KEY (room, collection, id), UNIQUE (room, seq));
  CREATE TABLE IF NOT EXISTS sync_owners (client uuid PRIMARY KEY, user_id text NOT NULL);
  CREATE TABLE IF NOT EXISTS sync_numbers (
    room text, client uuid, last_number bigint NOT NULL, PRIMARY KEY (room, client));
  CREATE TABLE IF NOT EXISTS sync_refusals (
    room text, client uuid, number bigint, error json NOT NULL, PRIMARY KEY (room, client, number));
`;
/** Two processes that start at once would both create the tables. */
const SCHEMA_LOCK = 0x73796e63;

export class PostgresStore {
  #pool;

  constructor(pool) {
    this.#pool = pool;
  }

  /** Connects, and makes the tables that are missing. */
  static async open(connectionString) {
    const pool = new pg.Pool({
      connectionString,
      max: CONNECTIONS_MAX,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    });
    // A connection that fails is replaced. Without a listener it would end the process: the pool listens only while it
    // is idle, and says so by an error of its own.
    const report = (error) => console.error('postgres:', error.message);
    pool.on('connect', (connection) => connection.on('error', report));
    pool.on('error', report);
    const store = new PostgresStore(pool);
    await store.#inTransaction(async (connection) => {
      await connection.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
      await connection.query(SCHEMA);
    });
    return store;
  }

  /**
   * Runs `work(tx)` in one transaction that holds the room's row: numbers of the log are given one transaction after
   * the other, so the log has no gap and becomes visible in order.
   */
  transaction(room, work) {
    return this.#inTransaction(async (connection) => {
      const { rows } = await connection.query(
        `INSERT INTO sync_rooms VALUES ($1, 0, $2)
         ON CONFLICT (room) DO UPDATE SET seq = sync_rooms.seq RETURNING seq, checksum`,
        [room, EMPTY],
      );
      return work(new Transaction(connection, room, toHead(rows[0])));
    });
  }

  /** As in the memory store. One statement, so the documents and the end of the log belong together. */
  async page(room, cursor, countMax, bytesMax) {
    const { rows } = await this.#pool.query(
      `SELECT r.seq, r.checksum, d.document
       FROM sync_rooms r
       LEFT JOIN LATERAL (
         SELECT document, seq, sum(octet_length(document::text)) OVER (ORDER BY seq) AS bytes,
                row_number() OVER (ORDER BY seq) AS place
         FROM (SELECT * FROM sync_documents WHERE room = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS newer
       ) d ON d.bytes <= $4 OR d.place = 1
       WHERE r.room = $1
       ORDER BY d.seq`,
      [room, cursor, countMax, bytesMax],
    );
    const changes = rows.map(({ document }) => document).filter((document) => document !== null);
    return { head: toHead(rows[0]), changes };
  }

  async heads(rooms) {
    const { rows } = await this.#pool.query('SELECT room, seq FROM sync_rooms WHERE room = ANY($1)', [rooms]);
    const known = new Map(rows.map(({ room, seq }) => [room, Number(seq)]));
    return Object.fromEntries(rooms.map((room) => [room, known.get(room) ?? 0]));
  }

  close() {
    return this.#pool.end();
  }

  async #inTransaction(work) {
    const connection = await this.#pool.connect();
    let failed;
    try {
      await connection.query('BEGIN');
      const result = await work(connection);
      await connection.query('COMMIT');
      return result;
    } catch (error) {
      failed = await connection.query('ROLLBACK').then(
        () => undefined,
        (broken) => broken,
      );
      throw error;
    } finally {
      // A connection that could not roll back is of no use to anybody else.
      connection.release(failed);
    }
  }
}

/** What a push reads and writes; see the memory store for what each means. */
class Transaction {
  #connection;
  #room;
  #head;

  constructor(connection, room, head) {
    this.#connection = connection;
    this.#room = room;
    this.#head = head;
  }

  async claim(client, user) {
    await this.#connection.query('INSERT INTO sync_owners VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      client,
      user,
    ]);
    const owner = await this.#row('SELECT user_id FROM sync_owners WHERE client = $1', [client]);
    return owner?.user_id === user;
  }

  async head() {
    return this.#head;
  }

  async lastNumber(client) {
    const row = await this.#row('SELECT last_number FROM sync_numbers WHERE room = $1 AND client = $2', [
      this.#room,
      client,
    ]);
    return Number(row?.last_number ?? 0);
  }

  async refusal(client, number) {
    const row = await this.#row(
      'SELECT error FROM sync_refusals WHERE room = $1 AND client = $2 AND number = $3',
      [this.#room, client, number],
    );
    return row?.error ?? null;
  }

  async document(collection, id) {
    const row = await this.#row(
      'SELECT document FROM sync_documents WHERE room = $1 AND collection = $2 AND id = $3',
      [this.#room, collection, id],
    );
    return row?.document ?? null;
  }

  async commit({ head, client, lastNumber, documents, refusals }) {
    const run = (sql, ...values) => this.#connection.query(sql, [this.#room, ...values]);
    await run('UPDATE sync_rooms SET seq = $2, checksum = $3 WHERE room = $1', head.seq, head.checksum);
    await run(
      `INSERT INTO sync_numbers VALUES ($1, $2, $3)
       ON CONFLICT (room, client) DO UPDATE SET last_number = excluded.last_number`,
      client,
      lastNumber,
    );
    await run(
      `INSERT INTO sync_documents SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::json[])
       ON CONFLICT (room, collection, id) DO UPDATE SET seq = excluded.seq, document = excluded.document`,
      documents.map(({ collection }) => collection),
      documents.map(({ id }) => id),
      documents.map(({ seq }) => seq),
      documents.map((document) => JSON.stringify(document)),
    );
    if (refusals.length === 0) return;
    await run(
      'INSERT INTO sync_refusals SELECT $1, $2::uuid, * FROM unnest($3::bigint[], $4::json[])',
      client,
      refusals.map(({ client_seq }) => client_seq),
      refusals.map(({ error }) => JSON.stringify(error)),
    );
    await run(
      'DELETE FROM sync_refusals WHERE room = $1 AND client = $2 AND number <= $3',
      client,
      lastNumber - REFUSALS_MAX,
    );
  }

  async #row(sql, values) {
    const { rows } = await this.#connection.query(sql, values);
    return rows[0];
  }
}

function toHead(row) {
  return row === undefined ? { seq: 0, checksum: EMPTY } : { seq: Number(row.seq), checksum: row.checksum };
}
