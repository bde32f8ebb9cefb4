import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const PACKAGE = resolve(__dirname, '../..');

/** Expo's dev server of an app that has this package installed, as far as dev tools plugins go. */
export class DevServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'syncline-dev-server-'));
  #process: ChildProcess | null = null;
  #url = '';

  get url(): string {
    return this.#url;
  }

  /** The address that Expo's command line opens. */
  get panelUrl(): string {
    return `${this.#url}/_expo/plugins/expo-syncline`;
  }

  async start(): Promise<void> {
    mkdirSync(join(this.#folder, 'node_modules'));
    symlinkSync(PACKAGE, join(this.#folder, 'node_modules/expo-syncline'));
    const manifest = { name: 'app', dependencies: { 'expo-syncline': '*' } };
    writeFileSync(join(this.#folder, 'package.json'), JSON.stringify(manifest));
    const child = spawn(process.execPath, [join(__dirname, 'serve.mjs'), this.#folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    for await (const line of createInterface(child.stdout)) {
      const match = /^listening on (http:\/\/127\.0\.0\.1:\d+)$/.exec(line);
      if (!match) continue;
      this.#url = match[1] ?? '';
      return;
    }
    throw new Error('the dev server ended before it listened');
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child?.exitCode === null) {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
