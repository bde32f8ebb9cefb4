import type { ErrorBody } from '../../src/contract.ts';
import {
  ANSWER_TIMEOUT_MS,
  type AppMessage,
  type DevToolsChannel,
  FROM_APP,
  FROM_PANEL,
  newName,
  PANEL_BEAT_MS,
  type PanelCommand,
  type PanelMessage,
  PROTOCOL_VERSION,
  readMessage,
} from '../../src/devtools/protocol.ts';
import { type Observable, Store } from '../../src/observable.ts';
import { type Model, NOTHING, receive, swept } from './model.ts';

/** So often at most an app is asked to tell everything again. */
const RESYNC_INTERVAL_MS = 1_000;

type Outgoing<M = PanelMessage> = M extends PanelMessage ? Omit<M, 'version' | 'panel'> : never;

/** The channel as a page has it. */
export interface PageChannel extends DevToolsChannel {
  /** Not while the dev server is away, and not any more once another panel took over. */
  isConnected(): boolean;
}

/** The panel's end of the channel: what the apps tell, and a way to ask them for something. */
export class Link {
  readonly #panel = newName();
  readonly #channel: PageChannel;
  readonly #isConnected = new Store(true);
  readonly #model = new Store<Model>(NOTHING);
  readonly #waiting = new Map<string, (error: ErrorBody | null) => void>();
  readonly #resyncedAtMs = new Map<string, number>();
  #requests = 0;

  constructor(channel: PageChannel) {
    this.#channel = channel;
    channel.addMessageListener(FROM_APP, (message) => {
      this.#handle(message);
    });
    const beat = () => {
      this.#send({ type: 'beat' });
      this.#isConnected.set(channel.isConnected());
      this.#model.set(swept(this.#model.get(), Date.now()));
    };
    beat();
    setInterval(beat, PANEL_BEAT_MS);
    window.addEventListener('pagehide', () => {
      this.#send({ type: 'gone' });
    });
  }

  get isConnected(): Observable<boolean> {
    return this.#isConnected;
  }

  get model(): Observable<Model> {
    return this.#model;
  }

  /** Resolves when the app has done it; rejects with what it said. */
  ask(app: string, command: PanelCommand): Promise<void> {
    this.#requests += 1;
    const request = `${this.#panel}:${this.#requests}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(request);
        reject(new Error('The app did not answer.'));
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.set(request, (error) => {
        clearTimeout(timer);
        if (error) reject(new Error(`${error.code}: ${error.message}`));
        else resolve();
      });
      this.#send({ type: 'command', app, request, command });
    });
  }

  #handle(received: unknown): void {
    const message = readMessage<AppMessage>(received);
    if (!message) return;
    const { model, isMissing } = receive(this.#model.get(), message, Date.now());
    this.#model.set(model);
    if (isMissing) this.#resync(message.app);
    if (message.version !== PROTOCOL_VERSION || message.type !== 'answer') return;
    this.#waiting.get(message.request)?.(message.error);
    this.#waiting.delete(message.request);
  }

  #resync(app: string): void {
    const now = Date.now();
    if (now - (this.#resyncedAtMs.get(app) ?? 0) < RESYNC_INTERVAL_MS) return;
    // Only the last ones matter: forgetting others costs a message.
    if (this.#resyncedAtMs.size > 64) this.#resyncedAtMs.clear();
    this.#resyncedAtMs.set(app, now);
    this.#send({ type: 'resync', app });
  }

  #send(message: Outgoing): void {
    this.#channel.sendMessage(FROM_PANEL, { ...message, version: PROTOCOL_VERSION, panel: this.#panel });
  }
}
