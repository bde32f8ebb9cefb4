// What the tests talk to: processes of their own, which say where they listen.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const START_TIMEOUT_MS = 20_000;
const LINE = /^listening on (http:\/\/127\.0\.0\.1:(\d+))$/;

const built = (variable, name) =>
  resolve(process.env[variable] ?? join(import.meta.dirname, '../../../../target/fast', name));

class Service {
  #child = null;
  url = null;

  /** Returns when it listens. */
  async spawn(program, args) {
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const lines = createInterface({ input: this.#child.stdout });
    const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
    this.url = LINE.exec(line)[1];
  }

  /** Ends the process at once, as a crash would. */
  async stop() {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

/** The server, with its data in a folder; it listens where it did before when it is started again. */
export class Server extends Service {
  #folder;

  constructor(folder) {
    super();
    this.#folder = folder;
    // The same from start to start, so that tokens stay good.
    writeFileSync(join(folder, 'secret'), randomBytes(32).toString('hex'));
  }

  async start() {
    const listen = this.url === null ? '127.0.0.1:0' : new URL(this.url).host;
    const data = ['--data', join(this.#folder, 'server'), '--jwt-secret-file', join(this.#folder, 'secret')];
    await this.spawn(built('SYNCLINE_SERVER_BIN', 'syncline-server'), ['--dev', '--listen', listen, ...data]);
  }

  /** A token for `user` that opens these rooms, for so long. */
  async token(user, rooms, ttlS) {
    const response = await fetch(`${this.url}/dev/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sub: user, rooms, ttl_s: ttlS }),
    });
    return (await response.json()).token;
  }
}

/** The Socket.IO backend without sync. */
export class Backend extends Service {
  async start() {
    await this.spawn(built('SYNCLINE_BACKEND_BIN', 'contract-backend'), []);
  }
}
