import type { Unsubscribe } from './observable.ts';
import type { Socket } from './socket.ts';

/** What happens to an entity: `activity:created`, `activity:updated`, `activity:deleted`. */
export interface EntityHandlers<T> {
  readonly created?: (entity: T) => void;
  readonly updated?: (entity: T) => void;
  readonly deleted?: (entity: T) => void;
}

type Kind = keyof EntityHandlers<never>;

/** The ends of names that backends use for the three. */
const KINDS: Record<string, Kind> = {
  created: 'created',
  create: 'created',
  new: 'created',
  updated: 'updated',
  update: 'updated',
  deleted: 'deleted',
  delete: 'deleted',
  removed: 'deleted',
};

/** Listens to the events of one kind of entity. */
export function onEntity<T>(
  socket: Pick<Socket, 'on'>,
  entity: string,
  handlers: () => EntityHandlers<T>,
): Unsubscribe {
  return socket.on(`${entity}:*`, (event, payload) => {
    const kind = KINDS[event.slice(entity.length + 1)];
    if (kind) handlers()[kind]?.(payload as T);
  });
}
