import type { Channel } from './channel.ts';
import type { Event, ParkedWrite, RejectedWrite } from './contract.ts';
import { asSynclineError } from './error.ts';
import type { Report } from './guard.ts';
import { EMPTY_QUEUE, IDLE_CONNECTION, IDLE_PROGRESS } from './idle.ts';
import { KeptWrites } from './kept-writes.ts';
import { readInto, Store } from './observable.ts';

/** What is known of a client as a whole: read when it opens, and kept up to date by the core's events. */
export class ClientState {
  readonly connection;
  readonly queue;
  readonly progress;
  readonly outcomes;
  readonly conflicts;
  readonly #report: Report;
  #channel: Channel | null = null;

  constructor(report: Report) {
    this.#report = report;
    this.connection = new Store(IDLE_CONNECTION, report);
    this.queue = new Store(EMPTY_QUEUE, report);
    this.progress = new Store(IDLE_PROGRESS, report);
    this.outcomes = new KeptWrites<RejectedWrite>(report);
    this.conflicts = new KeptWrites<ParkedWrite>(report);
  }

  /** The client is about to open. */
  awaitLists(): void {
    this.outcomes.awaitList();
    this.conflicts.awaitList();
  }

  /** The client is open. */
  attach(channel: Channel): void {
    this.#channel = channel;
    void readInto(this.connection, () => channel.call({ type: 'connection' }), this.#report);
    void readInto(this.queue, () => channel.call({ type: 'queue' }), this.#report);
    const outcomes = async () => (await channel.call({ type: 'outcomes' })).outcomes;
    const conflicts = async () => (await channel.call({ type: 'conflicts' })).conflicts;
    void this.#readKept(channel, this.outcomes, outcomes);
    void this.#readKept(channel, this.conflicts, conflicts);
  }

  /** The client is closing. */
  detach(): void {
    this.#channel = null;
  }

  handleEvent(event: Event): void {
    switch (event.type) {
      case 'connection':
        this.connection.set(event.status);
        break;
      case 'queue':
        this.queue.set(event.status);
        break;
      case 'progress':
        this.progress.set(event.progress);
        break;
      case 'outcome':
        this.outcomes.handleKept(event.outcome);
        break;
      case 'conflict':
        this.conflicts.handleKept(event.conflict);
        break;
      default:
        break;
    }
  }

  async #readKept<T extends { clientSeq: number }>(
    channel: Channel,
    kept: KeptWrites<T>,
    list: () => Promise<T[]>,
  ): Promise<void> {
    try {
      const listed = await list();
      if (this.#channel === channel) kept.handleList(listed);
    } catch (error) {
      if (this.#channel !== channel) return;
      kept.handleList(null);
      this.#report(asSynclineError(error));
    }
  }
}
