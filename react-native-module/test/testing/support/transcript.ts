// Plays a transcript through the fake host, in virtual time. See tests/contract/README.md.
import { unpacked } from '../../../src/inline-bytes.ts';
import { Answer, FakeHost, FakeServer, Failure } from '../../../src/testing.ts';
import { Bindings } from './matching.ts';

const PATIENCE_MS = 20_000;
const FOLDERS = ['a', 'b', 'c'];

type Told = Record<string, unknown> & { readonly type: string };

/** One step; its members say which. */
export interface Step {
  readonly token?: string;
  readonly rooms?: readonly string[];
  readonly as?: string;
  readonly open?: string;
  readonly call?: string;
  readonly config?: unknown;
  readonly command?: unknown;
  readonly ttlS?: number;
  readonly text?: string;
  readonly answer?: unknown;
  readonly error?: { readonly code: string; readonly retry: string };
  readonly later?: string;
  readonly await?: string;
  readonly events?: string;
  readonly are?: readonly Record<string, unknown>[];
  readonly until?: string;
  readonly event?: Told;
  readonly quiet?: string;
  readonly types?: readonly string[];
  readonly host?: string;
  readonly state?: 'active' | 'inactive' | 'background';
  readonly available?: boolean;
  readonly expensive?: boolean;
  readonly kind?: string;
  readonly stop?: string;
  readonly start?: string;
}

export interface Transcript {
  readonly title: string;
  readonly needs?: readonly string[];
  readonly patienceMs?: number;
  readonly failsAt?: number;
  readonly steps: readonly Step[];
}

/** Where a transcript failed, from 1, and why. */
export class TranscriptFailure extends Error {
  readonly step: number;

  constructor(step: number, cause: unknown) {
    super(`step ${step}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.step = step;
  }
}

interface Client {
  readonly number: number;
  /** What it told, until a step looks at it. */
  readonly told: Told[];
}

/** Plays a transcript to its end; rejects with the step that fails. */
export async function play(transcript: Transcript): Promise<void> {
  const player = new Player(transcript);
  for (const [index, step] of transcript.steps.entries()) {
    try {
      await player.play(step);
    } catch (error) {
      throw new TranscriptFailure(index + 1, error);
    }
  }
}

class Player {
  readonly #server = new FakeServer({ url: 'http://127.0.0.1:9' });
  readonly #host = new FakeHost(() => this.#server);
  readonly #patienceMs: number;
  readonly #bindings = new Bindings();
  readonly #clients = new Map<string, Client>();
  readonly #told = new Map<number, Told[]>();
  readonly #later = new Map<string, Promise<string>>();

  constructor({ needs = [], patienceMs = PATIENCE_MS }: Transcript) {
    this.#patienceMs = patienceMs;
    for (const name of [...needs, ...FOLDERS.map((folder) => `folder.${folder}`)]) {
      this.#bindings.bind(name, needs.includes(name) ? this.#server.url : `/${name}`);
    }
    if (needs.includes('backend')) actAsBackend(this.#server);
    this.#host.addEventsListener((client, events) => {
      this.#toldBy(client).push(...(JSON.parse(unpacked(events)) as Told[]));
    });
  }

  #toldBy(client: number): Told[] {
    const told = this.#told.get(client) ?? [];
    this.#told.set(client, told);
    return told;
  }

  async play(step: Step): Promise<void> {
    if (step.token !== undefined) {
      const ttlMs = step.ttlS === undefined ? undefined : step.ttlS * 1000;
      this.#bindings.bind(step.as ?? '', this.#server.token(step.token, step.rooms, ttlMs));
    } else if (step.open !== undefined) {
      const reply = await this.#host.open(this.#text(step));
      this.#check(reply, step);
      const { ok } = JSON.parse(reply) as { ok?: { client: number } };
      if (ok) this.#clients.set(step.open, { number: ok.client, told: this.#toldBy(ok.client) });
    } else if (step.call !== undefined) {
      const command = { text: this.#text(step), attachments: [] };
      const reply = this.#host.call(this.#client(step.call).number, command).then(unpacked);
      if (step.later !== undefined) this.#later.set(step.later, reply);
      else this.#check(await this.#settled(reply), step);
    } else if (step.await !== undefined) {
      const reply = this.#later.get(step.await);
      if (!reply) throw new Error(`nothing is called ${step.await}`);
      this.#check(await this.#settled(reply), step);
    } else if (step.events !== undefined) {
      await this.#expectEvents(this.#client(step.events), step.are ?? []);
    } else if (step.until !== undefined && step.event) {
      const { until, event } = step;
      while (!this.#bindings.matches(event, await this.#next(this.#client(until), [event.type])));
    } else if (step.quiet !== undefined) {
      const told = take(this.#client(step.quiet), step.types ?? []);
      if (told) throw new Error(`there was ${JSON.stringify(told)}`);
    } else if (step.host !== undefined) {
      await this.#tellHost(step);
    } else if (step.stop !== undefined) {
      this.#server.stop();
    } else if (step.start !== undefined) {
      this.#server.start();
    } else {
      throw new Error(`no step is like ${JSON.stringify(step)}`);
    }
  }

  #client(name: string): Client {
    const client = this.#clients.get(name);
    if (!client) throw new Error(`no client ${name} was opened`);
    return client;
  }

  #text({ text, config, command }: Step): string {
    return text ?? JSON.stringify(this.#bindings.fill(config ?? command));
  }

  /** Lets time pass until something has come about, as long as there is patience. */
  async #pass<T>(look: () => T | undefined, nothing: string): Promise<T> {
    const { clock } = this.#server;
    const endsMs = clock.nowMs + this.#patienceMs;
    for (;;) {
      await clock.settle();
      const found = look();
      if (found !== undefined) return found;
      const nextMs = clock.nextMs ?? Infinity;
      if (nextMs > endsMs) throw new Error(nothing);
      await clock.advance(nextMs - clock.nowMs);
    }
  }

  async #settled(reply: Promise<string>): Promise<string> {
    let answered: string | undefined;
    void reply.then((text) => (answered = text));
    return this.#pass(() => answered, 'no answer');
  }

  #next(client: Client, types: readonly string[]): Promise<Told> {
    return this.#pass(() => take(client, types), `no more events of the types ${types.join(', ')}`);
  }

  /** Compares the reply envelope with what is expected. */
  #check(reply: string, { answer, error }: Step): void {
    const expected = error
      ? { error: { ...error, message: '$text', retryable: error.retry !== 'never' } }
      : { ok: answer };
    if (this.#bindings.matches(expected, JSON.parse(reply))) return;
    throw new Error(`expected ${JSON.stringify(expected)}, was ${reply}`);
  }

  /** The next events of the types that are expected must be these, in this order; those of a group in any. */
  async #expectEvents(client: Client, are: readonly Record<string, unknown>[]): Promise<void> {
    const groups = are.map((one) =>
      '$unordered' in one ? [...(one['$unordered'] as Told[])] : [one as Told],
    );
    const types = groups.flat().map(({ type }) => type);
    for (const group of groups) {
      while (group.length > 0) {
        const actual = await this.#next(client, types);
        const at = group.findIndex((expected) => this.#bindings.matches(expected, actual));
        if (at < 0) throw new Error(`expected ${JSON.stringify(group)}, was ${JSON.stringify(actual)}`);
        group.splice(at, 1);
      }
    }
  }

  async #tellHost({ host, state, available, expensive, kind }: Step): Promise<void> {
    if (host === 'setAppState' && state) this.#host.setAppState(state);
    else if (host === 'setNetwork') this.#host.setNetwork(available ?? true, expensive, kind);
    else if (host === 'closeAll') await this.#host.closeAll();
    else throw new Error(`the host has no call ${String(host)}`);
  }
}

function take({ told }: Client, types: readonly string[]): Told | undefined {
  const at = told.findIndex(({ type }) => types.includes(type));
  return at < 0 ? undefined : told.splice(at, 1)[0];
}

/** What `tests/contract/backend` does. */
function actAsBackend(server: FakeServer): void {
  server.on('echo', ({ args }) => new Answer(...args));
  server.on('develop', (call) => {
    const [photo] = call.args as [{ name: string; bytes: Uint8Array }];
    const bytes = photo.bytes.slice().reverse();
    call.emit('developed', bytes);
    return { ...photo, bytes };
  });
  server.on('ask', (call) => {
    void call.ask('question', ...call.args).then((answered) => {
      call.emit('answered', ...answered);
    });
  });
  server.on('announce', (call) => {
    const [subject] = call.args;
    call.emit(`news:${String(subject)}`, { subject });
  });
  server.on('room:join', ({ args: [request] }) => {
    const { room } = request as { room: string };
    if (room.startsWith('closed')) throw new Failure('forbidden', 'not for you');
    return { ok: true };
  });
  server.on('order', ({ args: [order] }) => ({ accepted: (order as { item: unknown }).item }));
  server.on('refused', () => {
    throw new Failure('invalid', 'no such item');
  });
  server.refuseNamespace('/closed', new Failure('forbidden', 'members only'));
  server.onRequest(({ url }) =>
    url.endsWith('/api/orders')
      ? { status: 200, body: { accepted: true } }
      : { status: 422, body: { message: 'no such item' } },
  );
}
