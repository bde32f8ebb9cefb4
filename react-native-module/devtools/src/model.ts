import {
  appended,
  type AppMessage,
  APPS_MAX,
  type Histories,
  HISTORY_MAX,
  type Parts,
  PROTOCOL_VERSION,
  SILENCE_MS,
} from '../../src/devtools/protocol.ts';

/** One client, as far as it was told. */
export interface AppState {
  readonly app: string;
  readonly sequence: number;
  readonly heardAtMs: number;
  readonly parts: Parts;
  readonly histories: Histories;
}

export interface Model {
  readonly apps: readonly AppState[];
  /** What an app speaks that the panel cannot understand. */
  readonly otherVersion: number | null;
}

export const NOTHING: Model = { apps: [], otherVersion: null };

/** What a message makes of the model, and whether the app is to tell everything again, because something was missed. */
export function receive(
  model: Model,
  message: AppMessage,
  nowMs: number,
): { readonly model: Model; readonly isMissing: boolean } {
  if (message.version !== PROTOCOL_VERSION) {
    return { model: { ...model, otherVersion: message.version }, isMissing: false };
  }
  const known = model.apps.find(({ app }) => app === message.app);
  switch (message.type) {
    case 'state': {
      const { app, sequence, parts, added } = message;
      return {
        model: put(model, { app, sequence, heardAtMs: nowMs, parts, histories: added }),
        isMissing: false,
      };
    }
    case 'update': {
      if (!known || message.sequence !== known.sequence + 1) return { model, isMissing: true };
      return { model: put(model, updated(known, message, nowMs)), isMissing: false };
    }
    case 'alive':
    case 'answer':
      return known
        ? { model: put(model, { ...known, heardAtMs: nowMs }), isMissing: false }
        : { model, isMissing: true };
    case 'gone':
      return { model: without(model, [message.app]), isMissing: false };
    case 'incompatible':
      return { model, isMissing: false };
  }
}

/** The model without apps that were silent for too long. */
export function swept(model: Model, nowMs: number): Model {
  const silent = model.apps.filter(({ heardAtMs }) => nowMs - heardAtMs > SILENCE_MS);
  return without(
    model,
    silent.map(({ app }) => app),
  );
}

function updated(
  known: AppState,
  { sequence, parts, added }: Extract<AppMessage, { type: 'update' }>,
  heardAtMs: number,
): AppState {
  const { timeline, latency, log } = known.histories;
  return {
    app: known.app,
    sequence,
    heardAtMs,
    parts: { ...known.parts, ...parts },
    histories: {
      timeline: appended(timeline, added.timeline ?? [], HISTORY_MAX.timeline),
      latency: appended(latency, added.latency ?? [], HISTORY_MAX.latency),
      log: appended(log, added.log ?? [], HISTORY_MAX.log),
    },
  };
}

/** In its place, or as the last one; beyond the limit, who was not heard for the longest goes. */
function put(model: Model, state: AppState): Model {
  if (model.apps.some(({ app }) => app === state.app)) {
    return { ...model, apps: model.apps.map((other) => (other.app === state.app ? state : other)) };
  }
  const apps = [...model.apps, state];
  if (apps.length <= APPS_MAX) return { ...model, apps };
  const oldest = apps.reduce((quiet, app) => (app.heardAtMs < quiet.heardAtMs ? app : quiet));
  return without({ ...model, apps }, [oldest.app]);
}

function without(model: Model, gone: readonly string[]): Model {
  const apps = model.apps.filter(({ app }) => !gone.includes(app));
  return apps.length === model.apps.length ? model : { ...model, apps };
}
