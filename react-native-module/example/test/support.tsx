import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { fireEvent, render, waitFor, within } from '@testing-library/react-native';
import { View as DeskView } from 'react-native';

import { Devices } from '../../test/support/devices.ts';
import { App } from '../src/app.tsx';

type View = Awaited<ReturnType<typeof render>>;

/** The example's backend in a process of its own. */
export class ExampleBackend {
  readonly #process: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#process = child;
    this.url = url;
  }

  static async start(): Promise<ExampleBackend> {
    const child = spawn(process.execPath, [resolve(__dirname, '../backend/server.js')], {
      env: { ...process.env, PORT: '0', HOST: '127.0.0.1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface(child.stdout)) {
      const match = /^listening on (.+)$/.exec(line);
      if (match?.[1] !== undefined) return new ExampleBackend(child, match[1]);
    }
    throw new Error('the backend ended before it listened');
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }
}

/** The app on several phones side by side: only what is rendered last can be touched, so one tree has them all. */
export class Phones {
  readonly #all: Phone[] = [];
  #view: View | null = null;

  /** Starts the app on a new phone and signs in. */
  async add(backend: ExampleBackend, name: string): Promise<Phone> {
    const phone = new Phone(`phone ${this.#all.length}`, () => this.#rendered());
    this.#all.push(phone);
    const desk = this.#all.map(({ id, devices }) => (
      <DeskView key={id} testID={id}>
        <App url={backend.url} host={devices.host} />
      </DeskView>
    ));
    if (this.#view) await this.#view.rerender(<>{desk}</>);
    else this.#view = await render(<>{desk}</>);
    await phone.write('Name', name);
    await phone.press('Sign in');
    return phone;
  }

  async stop(): Promise<void> {
    await this.#view?.unmount();
    for (const { devices } of this.#all) await devices.dispose();
  }

  #rendered(): View {
    if (!this.#view) throw new Error('there is no phone yet');
    return this.#view;
  }
}

/** What a user sees and touches of one phone. */
export class Phone {
  readonly devices = new Devices();
  readonly id: string;
  readonly #desk: () => View;

  constructor(id: string, desk: () => View) {
    this.id = id;
    this.#desk = desk;
  }

  get #view() {
    return within(this.#desk().getByTestId(this.id));
  }

  async open(tab: string): Promise<void> {
    await fireEvent.press(await this.#view.findByRole('tab', { name: tab }));
  }

  async press(button: string): Promise<void> {
    await waitFor(() => {
      expect(this.#view.getByRole('button', { name: button })).toBeEnabled();
    });
    await fireEvent.press(this.#view.getByRole('button', { name: button }));
  }

  async write(field: string, text: string): Promise<void> {
    await fireEvent.changeText(await this.#view.findByLabelText(field), text);
  }

  async sees(text: string | RegExp): Promise<void> {
    expect(await this.#view.findByText(text)).toBeOnTheScreen();
  }

  async seesNot(text: string | RegExp): Promise<void> {
    await waitFor(() => {
      expect(this.#view.queryByText(text)).toBeNull();
    });
  }
}

/** React Native's preset for jest puts a mock in the place of `fetch`, which answers nothing. */
export function fetchForReal(
  input: string,
  { method = 'GET', headers, body }: RequestInit = {},
): Promise<Pick<Response, 'status' | 'ok' | 'json'>> {
  return new Promise((answer, reject) => {
    const asked = request(input, { method, headers: headers as Record<string, string> }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        const json = () => Promise.resolve<unknown>(JSON.parse(text));
        answer({ status, ok: status === 200, json });
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}
