import type { Channel } from './channel.ts';
import type { Event, LogLevel } from './contract.ts';
import { CoreClient } from './core-client.ts';
import type { Host } from './host.ts';
import { JobQueue } from './jobs.ts';
import { toFields } from './json.ts';
import { addHostLogger, type Logger } from './logger.ts';
import type { Observable, Unsubscribe } from './observable.ts';
import type { SyncOptions } from './options.ts';
import { type PresenceSnapshot, Presences } from './presence.ts';
import { checkText } from './refs.ts';
import { Socket } from './socket.ts';
import { SocketHub } from './socket-hub.ts';

/** A client of the sync core with all that it can do: documents, jobs, presence, and the app's own events. */
export class SyncClient extends CoreClient {
  /** What waits to be done: an observable status, and everything an app can do about it. */
  readonly queue = new JobQueue(this.channel, this.queueStatus, this.report);
  readonly presences = new Presences(this.channel, this.report);
  readonly #host: () => Host;
  readonly #hub: SocketHub;
  /** The app's own events over the connection; `createSocket` types them. */
  readonly socket: Socket;

  constructor(options: SyncOptions, host: () => Host, before?: () => Promise<void>) {
    super(options, host, before);
    this.#host = host;
    const { channel, report } = this;
    this.#hub = new SocketHub(channel, report, options.namespace);
    const validate = options.validate?.events;
    this.socket = new Socket({ hub: this.#hub, channel, report }, validate && { validate });
  }

  /** Who is in a room: known while this client is in it, see `announce`. */
  presence(room: string): Observable<PresenceSnapshot> {
    return this.presences.observe(checkText(room, 'room'));
  }

  /**
   * Enters a room on behalf of `holder`, with a state for the others to see, or changes that state; with null, it only
   * enters.
   */
  announce(room: string, holder: symbol, state: object | null): void {
    const fields = state && toFields(state, 'the presence state');
    this.presences.announce(checkText(room, 'room'), holder, fields);
  }

  /** Ends what `announce` began; the client leaves the room after its last holder. */
  withdraw(room: string, holder: symbol): void {
    this.presences.withdraw(room, holder);
  }

  /** Listens to the core's log, that of all clients of the process, beside `setLogger`. Throws where the host has none. */
  onLog(level: LogLevel, listener: Logger): Unsubscribe {
    return addHostLogger(this.#host(), level, listener);
  }

  protected override attach(channel: Channel): void {
    super.attach(channel);
    this.presences.attach();
    this.#hub.attach(channel);
    this.queue.attach(channel);
  }

  protected override detach(): void {
    super.detach();
    this.presences.detach();
    this.#hub.detach();
    this.queue.detach();
  }

  protected override apply(event: Event): void {
    switch (event.type) {
      case 'job':
        this.queue.handleEvent(event.event);
        break;
      case 'presence':
      case 'user':
        this.presences.handleEvent(event);
        break;
      case 'message':
        this.#hub.handleMessage(event);
        break;
      default:
        super.apply(event);
    }
  }
}
