// The story: two devices, one goes offline, is killed, comes back; in the end all hold the same.

import { join } from 'node:path';

import { UsageError } from './arguments.mjs';
import { compare } from './compare.mjs';
import { Model } from './model.mjs';
import * as plans from './plan.mjs';
import { Device } from './processes.mjs';

const USER = 'demo';
const ROOM = `user:${USER}`;
const LIVE_EDITS = 100;
const BATCH_COUNT_MAX = 200;
const BATCH_BYTES_MAX = 1024 * 1024;
/** Writes of the import that may wait to be sent, so that the queue's cap is never met. */
const IMPORT_QUEUED_MAX = 5_000;

/**
 * Plays the whole story.
 * @param {{ file: string, records: { line: number, fields: object }[], collection: string, seed: number }} input
 * @returns {Promise<{ documents: number, lost: number, duplicated: number, differences: string[], figures: object }>}
 */
export async function play(input, server, directory, screen) {
  const story = new Story(input, server, directory, screen);
  await story.begin();
  await story.importData();
  await story.editLive();
  await story.editOffline();
  await story.killAndRestart();
  await story.editMeanwhile();
  await story.reconnect();
  const verdict = await story.compare();
  await story.killOther();
  return { ...verdict, figures: story.figures };
}

class Story {
  figures = { localWriteUs: [], syncMs: [], recoveryMs: 0, bytesSent: 0, journalBytes: 0 };
  #model = new Model();

  constructor(input, server, directory, screen) {
    this.input = input;
    this.server = server;
    this.directory = directory;
    this.screen = screen;
    this.created = plans.creations(input.records, input.collection);
  }

  async begin() {
    await this.screen.step('A and B connect and see each other', 0, async () => {
      [this.a, this.b] = await Promise.all([this.#start('A', true), this.#start('B', true)]);
      await this.#seeDevices(2, this.a, this.b);
    });
  }

  async importData() {
    const { length } = this.created;
    await this.screen.step('A saves the documents', length, (report) => this.#import(report));
    await this.screen.step('B receives them', length, async (report) => {
      const condition = { condition: 'rowCount', collection: this.input.collection, count: length };
      await Promise.all([
        this.b.call('until', condition, report),
        this.a.call('until', { condition: 'settled' }),
      ]);
      await this.#see(this.b, plans.LIVE, 0);
    });
  }

  async editLive() {
    await this.screen.step('A edits, B sees it, again and again', LIVE_EDITS, async (report) => {
      for (let edit = 1; edit <= LIVE_EDITS; edit += 1) {
        const write = plans.liveEdit(edit);
        const [began, seen] = await Promise.all([
          this.a.call('writeAt', { write }),
          this.#see(this.b, plans.LIVE, edit),
        ]);
        this.#model.apply(write);
        this.figures.syncMs.push(seen - began);
        report(edit);
      }
    });
  }

  async editOffline() {
    const newIds = await this.a.call('newIds', { count: plans.CREATED_OFFLINE });
    this.plan = plans.plan(this.created, this.input.collection, newIds, this.input.seed);
    const { edits, increments, creations, deletions } = this.plan.offline;
    await this.screen.step('A goes offline; B sees it leave', 0, async () => {
      await this.a.call('goOffline');
      await this.#seeDevices(1, this.b);
    });
    const what = `A: ${edits.length} edits, ${increments.length} counts, ${creations.length} new, ${deletions.length} gone`;
    const writes = [...edits, ...increments, ...creations, ...deletions];
    await this.screen.step(what, writes.length, async (report) => {
      this.figures.localWriteUs = await this.#writeEach(this.a, writes, report);
    });
  }

  async killAndRestart() {
    const { bytesSent } = await this.a.call('stats');
    this.figures.bytesSent += bytesSent;
    await this.screen.step('A is killed and started again, still offline', 0, async () => {
      await this.a.kill();
      this.a = await this.#start('A', false);
    });
    const { differences } = this.#compareRows(await this.a.call('rows'));
    if (differences.length > 0) {
      throw new Error(`A forgot what it was told offline:\n${differences.slice(0, 5).join('\n')}`);
    }
    this.figures.journalBytes = (await this.a.call('stats')).journalBytes;
  }

  async editMeanwhile() {
    const writes = Object.values(this.plan.meanwhile).flat();
    await this.screen.step(
      `B edits ${writes.length} times, the same documents`,
      writes.length,
      async (report) => {
        await this.#writeEach(this.b, writes, report);
        await this.b.call('until', { condition: 'settled' });
      },
    );
  }

  async reconnect() {
    await this.screen.step('A comes online and sends what it has', 0, async () => {
      this.figures.recoveryMs = await this.a.call('goOnline');
      await this.#seeDevices(2, this.a, this.b);
    });
  }

  /** Compares A, B and the server with the model, field by field. */
  async compare() {
    return this.screen.step('A, B and the server are compared', 0, async () => {
      const stored = await this.server.documents(ROOM);
      const documents = stored.map(({ collection, id, seq }) => [collection, id, seq]);
      const caughtUp = { condition: 'caughtUp', documents };
      const differences = [];
      await Promise.all(
        [this.a, this.b].map((device) =>
          device.call('until', caughtUp).catch((error) => differences.push(error.message)),
        ),
      );
      const replicas = [
        ['server', stored],
        ['A', await this.a.call('rows')],
        ['B', await this.b.call('rows')],
      ];
      let [lost, duplicated] = [0, 0];
      for (const [name, rows] of replicas) {
        const result = this.#compareRows(rows);
        lost = Math.max(lost, result.lost);
        duplicated = Math.max(duplicated, result.duplicated);
        differences.push(...result.differences.map((difference) => `${name}: ${difference}`));
      }
      for (const device of [this.a, this.b]) {
        const { outcomes } = await device.call('outcomes');
        lost = Math.max(lost, outcomes.length);
        differences.push(...outcomes.map((outcome) => `${device.name}: refused: ${JSON.stringify(outcome)}`));
        this.figures.bytesSent += (await device.call('stats')).bytesSent;
      }
      return { documents: stored.length, lost, duplicated, differences };
    });
  }

  async killOther() {
    await this.screen.step('B is killed; A sees itself alone', 0, async () => {
      await this.b.kill();
      await this.#seeDevices(1, this.a);
    });
    await this.a.call('close');
  }

  async #start(name, online) {
    const device = new Device(name);
    const config = {
      url: this.server.url,
      directory: join(this.directory, name),
      token: await this.server.token(USER),
    };
    await device.call('open', {
      config,
      room: ROOM,
      collections: [this.input.collection, plans.OWN],
      online,
    });
    return device;
  }

  async #import(report) {
    const own = plans.ownDocuments();
    await this.#write(this.a, own);
    let done = 0;
    for (const batch of batches(this.created)) {
      await this.a.call('until', { condition: 'drained', count: IMPORT_QUEUED_MAX });
      await this.#write(this.a, batch).catch((error) => this.#blame(error, batch, done));
      done += batch.length;
      report(done);
    }
  }

  /** A refused batch had no effect; finds the document that is to blame, and its line. */
  async #blame(error, batch, before) {
    if (error.code !== 'invalid' && error.code !== 'too_large') {
      throw error;
    }
    for (const [index, write] of batch.entries()) {
      await this.a.call('write', { writes: [write] }).catch((reason) => {
        throw new UsageError(
          `${this.input.file}:${this.input.records[before + index].line}: ${reason.reason}`,
        );
      });
    }
    throw error;
  }

  async #write(device, writes) {
    await device.call('write', { writes });
    writes.forEach((write) => this.#model.apply(write));
  }

  async #writeEach(device, writes, report) {
    const durations = await device.call('writeEach', { writes }, report);
    writes.forEach((write) => this.#model.apply(write));
    return durations;
  }

  #see(device, { collection, id, field }, value) {
    return device.call('until', { condition: 'value', collection, id, field, value });
  }

  async #seeDevices(count, ...devices) {
    await Promise.all(devices.map((device) => device.call('until', { condition: 'members', count })));
  }

  #compareRows(rows) {
    return compare(this.#model.documents(), rows, plans.COUNTER);
  }
}

/** Groups of writes that are small enough to be accepted at once. */
function* batches(writes) {
  let batch = [];
  let bytes = 0;
  for (const write of writes) {
    const size = Buffer.byteLength(JSON.stringify(write));
    if (batch.length > 0 && (batch.length === BATCH_COUNT_MAX || bytes + size > BATCH_BYTES_MAX)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(write);
    bytes += size;
  }
  if (batch.length > 0) {
    yield batch;
  }
}
