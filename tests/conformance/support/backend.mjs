// The example backend as a process of its own, and tokens for it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { sign } from '../../../examples/socketio-backend/auth.js';

const FOLDER = join(import.meta.dirname, '../../../examples/socketio-backend');
const SECRET = 'a secret of the tests';
const READY_MS_MAX = 20_000;
const LINE = /^listening on (http:\/\/\S+)$/;

/** A token that is valid for `seconds` from now. */
export function token(user, rooms = [], seconds = 3600) {
  return sign({ sub: user, rooms, exp: Math.floor(Date.now() / 1000) + seconds }, SECRET);
}

export class Backend {
  #child;

  /** Starts a backend; `environment` is as in the example's README. */
  static async start(environment = {}) {
    const backend = new Backend();
    const env = { PATH: process.env.PATH, SECRET, PORT: '0', ...environment };
    backend.#child = spawn(process.execPath, ['server.js'], {
      cwd: FOLDER,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: backend.#child.stdout });
    const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(READY_MS_MAX) });
    backend.url = LINE.exec(line)[1];
    return backend;
  }

  /** SIGKILL; resolves when it has ended. */
  kill() {
    return this.#end('SIGKILL');
  }

  /** SIGTERM; resolves to the exit code. */
  stop() {
    return this.#end('SIGTERM');
  }

  async #end(signal) {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    this.#child.kill(signal);
    const [code] = await once(this.#child, 'exit');
    return code;
  }
}
