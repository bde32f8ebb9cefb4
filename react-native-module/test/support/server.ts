import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;

const TARGET = resolve(__dirname, '../../../target');

/** What the variable names, or else what was built last for tests. */
export function built(variable: string, file: string): string {
  const candidates = [
    process.env[variable] as string | undefined,
    join(TARGET, 'fast', file),
    join(TARGET, 'debug', file),
  ];
  const found = candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
  if (found === undefined) throw new Error(`${file} is not built, and ${variable} names no file`);
  return resolve(found);
}

/** What a world offers of its server. */
export type WorldServer = Pick<TestServer, 'url' | 'token' | 'start' | 'stop' | 'dispose'>;

/** A real server process with its own data, which it keeps when it is stopped and started again. */
export class TestServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'syncline-server-'));
  readonly #secretFile = join(this.#folder, 'secret');
  #process: ChildProcess | null = null;
  #port = 0;

  private constructor() {
    // The same from start to start, so that tokens stay good.
    writeFileSync(this.#secretFile, randomBytes(32).toString('hex'));
  }

  static async start(): Promise<TestServer> {
    const server = new TestServer();
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts the process, on the same port as before; returns when it listens. */
  async start(): Promise<void> {
    const listen = `127.0.0.1:${this.#port}`;
    const args = [
      '--dev',
      '--listen',
      listen,
      '--data',
      join(this.#folder, 'data'),
      '--jwt-secret-file',
      this.#secretFile,
    ];
    const child = spawn(built('SYNCLINE_SERVER_BIN', 'syncline-server'), [...args, '--log', 'warn'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const port = await within(START_TIMEOUT_MS, 'the server to listen', async () => {
      for await (const line of createInterface(child.stdout)) {
        const match = /^listening on http:\/\/127\.0\.0\.1:(\d+)$/.exec(line);
        if (match) return Number(match[1]);
      }
      throw new Error(`the server ended before it listened: ${log}`);
    });
    this.#port = port;
  }

  /** Ends the process at once, as a crash would. Its data stay. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await within(STOP_TIMEOUT_MS, 'the server to end', () => ended);
  }

  /** Ends the process and deletes its data. */
  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A token for `user` that opens these rooms. */
  async token(user: string, rooms: string[]): Promise<string> {
    const answer = await post(`${this.url}/dev/token`, { sub: user, rooms });
    return (JSON.parse(answer) as { token: string }).token;
  }
}

/** The result of `work`, or an error that says what was waited for. */
async function within<T>(timeoutMs: number, what: string, work: () => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${timeoutMs} ms for ${what}`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function post(url: string, body: object): Promise<string> {
  return new Promise((resolvePost, reject) => {
    const sent = request(
      url,
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => {
          if (response.statusCode === 200) resolvePost(text);
          else reject(new Error(`${url} answered ${response.statusCode ?? 'nothing'}: ${text}`));
        });
      },
    );
    sent.on('error', reject);
    sent.end(JSON.stringify(body));
  });
}
