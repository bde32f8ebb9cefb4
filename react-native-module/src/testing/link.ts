// A client's way to the server: every message takes its time, arrives in order, and is lost with the connection.
import type { JobWork } from '../contract.ts';
import type { Connection, HttpRequest, HttpResponse, ServerMessage } from './backend.ts';
import { Failure } from './errors.ts';
import type { FakeServer } from './server.ts';

type RequestWork = Extract<JobWork, { request: unknown }>['request'];

export type Answers = (args: readonly unknown[]) => void;

/** Who is told what comes over the link, each time in a turn of its own. */
export interface LinkOwner {
  readonly clientId: string;
  readonly namespace: string;
  /** Whether anybody can be reached, whatever the system says of the network. */
  readonly isReachable: () => boolean;
  handleAccepted(userId: string): void;
  handleRefused(error: Failure): void;
  handleMessage(message: ServerMessage): void;
  turn(work: () => void): void;
}

interface Attempt {
  connection: Connection | null;
}

export class Link {
  readonly #server: FakeServer;
  readonly #owner: LinkOwner;
  #attempt: Attempt | null = null;

  constructor(server: FakeServer, owner: LinkOwner) {
    this.#server = server;
    this.#owner = owner;
  }

  /** The server's end, once the server has accepted it. */
  get connection(): Connection | null {
    return this.#attempt?.connection ?? null;
  }

  get isUp(): boolean {
    return this.#attempt !== null;
  }

  /** Runs it after the way of a message, unless the attempt is over by then. */
  #later(attempt: Attempt, work: () => void): void {
    this.#server.clock.after(this.#server.latencyMs, () => {
      if (this.#attempt === attempt) work();
    });
  }

  #laterInTurn(attempt: Attempt, work: () => void): void {
    this.#later(attempt, () => {
      this.#owner.turn(work);
    });
  }

  #checkReachable(): void {
    if (!this.#owner.isReachable()) throw new Failure('unreachable', 'there is no network');
  }

  dial(token: string | null): void {
    const { clientId, namespace } = this.#owner;
    const attempt: Attempt = { connection: null };
    this.#attempt = attempt;
    const deliver = (message: ServerMessage) => {
      this.#laterInTurn(attempt, () => {
        this.#owner.handleMessage(message);
      });
    };
    this.#later(attempt, () => {
      const answer = attempted(() => {
        this.#checkReachable();
        return this.#server.backend.connect({ clientId, deliver }, token, namespace);
      });
      if (!(answer instanceof Failure)) attempt.connection = answer;
      this.#laterInTurn(attempt, () => {
        if (answer instanceof Failure) this.#owner.handleRefused(answer);
        else this.#owner.handleAccepted(answer.user.userId);
      });
    });
  }

  close(isGoodbye: boolean): void {
    const { connection } = this;
    this.#attempt = null;
    if (connection) this.#server.backend.disconnect(connection, isGoodbye);
  }

  ask<T>(question: (connection: Connection) => T, answered: (answer: T | Failure) => void): void {
    const attempt = this.#attempt;
    const connection = attempt?.connection;
    if (!attempt || !connection) return;
    this.#later(attempt, () => {
      if (!this.#server.backend.isConnected(connection)) return;
      const answer = attempted(() => question(connection));
      this.#laterInTurn(attempt, () => {
        answered(answer);
      });
    });
  }

  /** Carries an event of the app to the server, and the answer back. */
  send(namespace: string, event: string, args: readonly unknown[], answered: Answers | null): void {
    const attempt = this.#attempt;
    const answer = (back: readonly unknown[]) => {
      if (attempt) this.#laterInTurn(attempt, () => answered?.(back));
    };
    const carry = (connection: Connection) => {
      this.#server.backend.emit({ connection, namespace, event, args, answer: answered && answer });
    };
    this.ask(carry, () => undefined);
  }

  /** Carries an answer of the app to the server. */
  answer(answers: Answers, args: readonly unknown[]): void {
    this.#server.clock.after(this.#server.latencyMs, () => {
      answers(args);
    });
  }

  /** Carries a queued request; `url` may be relative to that of the server. */
  request(
    server: string,
    { method, url, headers = {}, body }: RequestWork,
    idempotencyKey: string,
    token: string | null,
  ): Promise<HttpResponse> {
    const base = new URL(server);
    const target = new URL(url, base);
    const request: HttpRequest = {
      method: method.toUpperCase(),
      url: target.href,
      headers: { ...headers, 'idempotency-key': idempotencyKey },
      body: body ?? null,
      // Goes to the server's own origin, and to no other.
      token: target.origin === base.origin ? token : null,
    };
    return new Promise((resolve, reject) => {
      this.#server.clock.after(this.#server.latencyMs, () => {
        const answer = attempted(() => {
          this.#checkReachable();
          return this.#server.backend.request(request);
        });
        if (answer instanceof Failure) reject(answer);
        else answer.then(resolve, reject);
      });
    });
  }
}

/** A mistake of the fake itself is to be seen as one. */
function attempted<T>(work: () => T): T | Failure {
  try {
    return work();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}
