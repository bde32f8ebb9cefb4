// Plays a transcript through the addon, as a host does: text and bytes in, text and bytes out. See
// tests/contract/README.md.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { attached, detached } from './bytes.mjs';
import { Bindings } from './matching.mjs';
import { Backend, Server } from './services.mjs';

const PATIENCE_MS = 20_000;
const FOLDERS = ['a', 'b', 'c'];

/** Where a transcript failed, from 1, and why. */
export class TranscriptFailure extends Error {
  constructor(step, cause) {
    super(`step ${step}: ${cause.message}`, { cause });
    this.step = step;
  }
}

/** What a client told, until a step looks at it. */
class Events {
  #told = [];
  #wake = () => undefined;

  tell(events) {
    this.#told.push(...attached(events));
    this.#wake();
  }

  /** The first that is of one of the types, if there is any. */
  take(types) {
    const at = this.#told.findIndex(({ type }) => types.includes(type));
    return at < 0 ? undefined : this.#told.splice(at, 1)[0];
  }

  async next(types, patienceMs) {
    const nothing = new Error(`no more events of the types ${types}`);
    const ends = Date.now() + patienceMs;
    for (;;) {
      const event = this.take(types);
      if (event !== undefined) return event;
      const arrival = new Promise((resolve) => (this.#wake = resolve));
      await within(ends - Date.now(), arrival, nothing);
    }
  }
}

/** What `work` resolves to, or an error when it is late. */
async function within(ms, work, error) {
  const timer = new AbortController();
  const late = delay(Math.max(ms, 0), undefined, { signal: timer.signal }).then(() => {
    throw error;
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}

/** Plays a transcript to its end; rejects with the step that fails. */
export async function play(addon, transcript) {
  const folder = mkdtempSync(join(tmpdir(), 'syncline-transcript-'));
  const player = new Player(addon, folder, transcript.patienceMs ?? PATIENCE_MS);
  try {
    for (const service of transcript.needs ?? []) await player.start(service);
    for (const [index, step] of transcript.steps.entries()) {
      try {
        await player.play(step);
      } catch (error) {
        throw new TranscriptFailure(index + 1, error);
      }
    }
  } finally {
    await addon.closeAll();
    await player.stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Player {
  #addon;
  #patienceMs;
  #services;
  #bindings = new Bindings();
  #clients = new Map();
  #later = new Map();

  constructor(addon, folder, patienceMs) {
    this.#addon = addon;
    this.#patienceMs = patienceMs;
    this.#services = { server: new Server(folder), backend: new Backend() };
    for (const name of FOLDERS) this.#bindings.bind(`folder.${name}`, join(folder, name));
  }

  async start(name) {
    await this.#services[name].start();
    this.#bindings.bind(name, this.#services[name].url);
  }

  async stopAll() {
    for (const service of Object.values(this.#services)) await service.stop();
  }

  async play(step) {
    if ('token' in step) {
      const token = await this.#services.server.token(step.token, step.rooms, step.ttlS);
      this.#bindings.bind(step.as, token);
    } else if ('open' in step) await this.#open(step);
    else if ('call' in step) await this.#call(step);
    else if ('await' in step) this.#check(await this.#answer(this.#later.get(step.await)), step);
    else if ('events' in step) await this.#expectEvents(this.#client(step.events).events, step.are);
    else if ('until' in step) await this.#until(this.#client(step.until).events, step.event);
    else if ('quiet' in step) {
      const event = this.#client(step.quiet).events.take(step.types);
      if (event !== undefined) throw new Error(`there was ${JSON.stringify(event)}`);
    } else if ('host' in step) await this.#tellHost(step);
    else if ('stop' in step) await this.#services[step.stop].stop();
    else if ('start' in step) await this.start(step.start);
    else throw new Error(`no step is like ${JSON.stringify(step)}`);
  }

  #client(name) {
    const client = this.#clients.get(name);
    if (client === undefined) throw new Error(`no client ${name} was opened`);
    return client;
  }

  #sent({ text, config, command }) {
    return text === undefined ? detached(this.#bindings.fill(config ?? command)) : { text, attachments: [] };
  }

  #answer(reply) {
    return within(this.#patienceMs, reply, new Error('no answer'));
  }

  async #open(step) {
    const events = new Events();
    const text = await this.#addon.open(this.#sent(step).text, (_, told) => events.tell(told));
    this.#check({ text, attachments: [] }, step);
    const { ok } = JSON.parse(text);
    if (ok !== undefined) this.#clients.set(step.open, { number: ok.client, events });
  }

  async #call(step) {
    const reply = this.#addon.call(this.#client(step.call).number, this.#sent(step));
    if ('later' in step) this.#later.set(step.later, reply);
    else this.#check(await this.#answer(reply), step);
  }

  /** Compares the reply envelope with what is expected. */
  #check(reply, { answer, error }) {
    const expected =
      error === undefined
        ? { ok: answer }
        : { error: { ...error, message: '$text', retryable: error.retry !== 'never' } };
    const actual = attached(reply);
    if (this.#bindings.matches(expected, actual)) return;
    throw new Error(`expected ${JSON.stringify(expected)}, was ${JSON.stringify(actual)}`);
  }

  /** The next events of the types that are expected must be these, in this order; those of a group in any. */
  async #expectEvents(events, are) {
    const groups = are.map((one) => (one.$unordered === undefined ? [one] : [...one.$unordered]));
    const types = groups.flat().map(({ type }) => type);
    for (const group of groups) {
      while (group.length > 0) {
        const actual = await events.next(types, this.#patienceMs);
        if (this.#bindings.takeFitting(group, actual)) continue;
        throw new Error(`expected ${JSON.stringify(group)}, was ${JSON.stringify(actual)}`);
      }
    }
  }

  async #until(events, expected) {
    while (!this.#bindings.matches(expected, await events.next([expected.type], this.#patienceMs)));
  }

  async #tellHost({ host, state, available, expensive, kind }) {
    if (host === 'setAppState') this.#addon.setAppState(state);
    else if (host === 'setNetwork') this.#addon.setNetwork(available, expensive, kind);
    else if (host === 'closeAll') await this.#addon.closeAll();
    else throw new Error(`the host has no call ${host}`);
  }
}
