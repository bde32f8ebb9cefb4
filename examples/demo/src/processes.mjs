// The demo's own processes: the server and the devices. All are known here, so that none outlives the demo.

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const READY_MS_MAX = 20_000;
/** The server's own 15 s are for phones, which lose their connections all the time. */
const GRACE_MS = 500;
const READY_LINE = /^listening on (http:\/\/\S+)$/;

const running = new Set();

/** Kills whatever still runs, at once. */
export function killAll() {
  for (const child of running) {
    child.kill('SIGKILL');
  }
}

function track(child) {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** A server on a free port. */
export class Server {
  constructor(url) {
    this.url = url;
  }

  static async start(binary, directory) {
    const child = track(
      spawn(
        binary,
        ['--dev', '--listen', '127.0.0.1:0', '--data', directory, '--presence-grace-ms', String(GRACE_MS)],
        {
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      ),
    );
    let log = '';
    child.stderr.on('data', (data) => (log = (log + data).slice(-4000)));
    const lines = createInterface({ input: child.stdout });
    const ready = new Promise((resolve, reject) => {
      const fail = (reason) => reject(new Error(`the server did not start: ${reason}\n${log}`));
      lines.on('line', (line) => {
        const match = READY_LINE.exec(line);
        if (match !== null) {
          resolve(match[1]);
        }
      });
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code, signal) => fail(`it ended with ${code ?? signal}`));
      setTimeout(() => fail(`no answer within ${READY_MS_MAX} ms`), READY_MS_MAX).unref();
    });
    return new Server(await ready);
  }

  async token(user) {
    const body = JSON.stringify({ sub: user });
    const headers = { 'content-type': 'application/json' };
    return JSON.parse(await this.#request('/dev/token', { method: 'POST', headers, body })).token;
  }

  /** The room's live documents as the server stores them. */
  async documents(room) {
    const lines = await this.#request(`/dev/rooms/${encodeURIComponent(room)}/documents`);
    return lines
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  async #request(path, options = {}) {
    const response = await fetch(new URL(path, this.url), {
      signal: AbortSignal.timeout(READY_MS_MAX),
      ...options,
    });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${text}`);
    }
    return text;
  }
}

/** A device in a process of its own; each of its methods is one of device.mjs. */
export class Device {
  #child;
  #calls = new Map();
  #next = 1;

  constructor(name) {
    this.name = name;
    this.#child = track(
      fork(fileURLToPath(new URL('device.mjs', import.meta.url)), { serialization: 'advanced' }),
    );
    this.#child.on('message', (message) => this.#handleMessage(message));
    this.#child.once('exit', (code, signal) => {
      for (const { reject } of this.#calls.values()) {
        reject(new Error(`device ${name} ended with ${code ?? signal}`));
      }
      this.#calls.clear();
    });
  }

  /** Asks the device to do something; `report` hears how far it has come. */
  call(method, parameters = {}, report = () => {}) {
    const call = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject, report });
      this.#child.send({ call, method, parameters }, (error) => {
        if (error) {
          reject(error);
        }
      });
    });
  }

  /** As the system kills an app: without a last word. */
  async kill() {
    const exited = once(this.#child, 'exit');
    process.kill(this.#child.pid, 'SIGKILL');
    await exited;
  }

  #handleMessage({ call, progress, result, error }) {
    const { resolve, reject, report } = this.#calls.get(call);
    if (progress !== undefined) {
      report(progress);
      return;
    }
    this.#calls.delete(call);
    if (error === undefined) {
      resolve(result);
    } else {
      reject(
        Object.assign(new Error(`device ${this.name}: ${error.message}`), {
          code: error.code,
          reason: error.message,
        }),
      );
    }
  }
}
