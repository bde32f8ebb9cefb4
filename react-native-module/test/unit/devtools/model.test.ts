import { NOTHING, type Model, receive, swept } from '../../../devtools/src/model.ts';
import {
  type AppMessage,
  APPS_MAX,
  type Histories,
  LOG_MAX,
  type Parts,
  PROTOCOL_VERSION,
  SILENCE_MS,
} from '../../../src/devtools/protocol.ts';
import type { LogLine } from '../../../src/index.ts';

const NONE: Histories = { timeline: [], latency: [], log: [] };

function line(message: string): LogLine {
  return { atMs: 1, level: 'info', target: 'test', event: null, message, dropped: 0 };
}

function state(app: string, sequence = 1, added = NONE): AppMessage {
  // What the parts hold is of no matter to the model.
  const parts = { name: app, logLevel: 'info' } as Parts;
  return { version: PROTOCOL_VERSION, app, type: 'state', sequence, parts, added };
}

function update(app: string, sequence: number, more: Partial<AppMessage> = {}): AppMessage {
  const news = { parts: {}, added: {}, ...more } as { parts: Partial<Parts>; added: Partial<Histories> };
  return { version: PROTOCOL_VERSION, app, type: 'update', sequence, ...news };
}

function after(...messages: AppMessage[]): Model {
  return messages.reduce((model, message, nth) => receive(model, message, nth).model, NOTHING);
}

it('changes only the parts that an update tells', () => {
  const model = after(state('a'), update('a', 2, { parts: { logLevel: 'debug' } }));
  expect(model.apps).toMatchObject([{ app: 'a', sequence: 2, parts: { name: 'a', logLevel: 'debug' } }]);
});

it('appends to the histories, and keeps the last entries', () => {
  const many = Array.from({ length: LOG_MAX }, (_, nth) => line(String(nth)));
  const model = after(
    state('a', 1, { ...NONE, log: many }),
    update('a', 2, { added: { log: [line('last')] } }),
  );
  const log = model.apps[0]?.histories.log ?? [];
  expect([log.length, log[0]?.message, log.at(-1)?.message]).toEqual([LOG_MAX, '1', 'last']);
});

it.each([
  ['of an unknown app', [], update('a', 2)],
  ['that follows a gap', [state('a', 1)], update('a', 3)],
  ['told twice', [state('a', 1), update('a', 2)], update('a', 2)],
])('asks for everything after an update %s', (_, before, message) => {
  const model = after(...before);
  expect(receive(model, message, 9)).toEqual({ model, isMissing: true });
});

it('goes on from a state, whatever came before', () => {
  const { model, isMissing } = receive(after(state('a', 1)), state('a', 7), 9);
  expect([model.apps[0]?.sequence, isMissing]).toEqual([7, false]);
  expect(receive(model, update('a', 8), 9).isMissing).toBe(false);
});

it('forgets an app that ends, and one that is silent', () => {
  const model = after(state('a'), state('b'));
  const gone = receive(model, { version: PROTOCOL_VERSION, app: 'a', type: 'gone' }, 9).model;
  expect(gone.apps.map(({ app }) => app)).toEqual(['b']);
  const heard = receive(model, { version: PROTOCOL_VERSION, app: 'b', type: 'alive' }, SILENCE_MS).model;
  expect(swept(heard, SILENCE_MS + 2).apps.map(({ app }) => app)).toEqual(['b']);
  expect(swept(heard, SILENCE_MS)).toBe(heard);
});

it('keeps so many apps, and gives up the one that it heard the longest ago', () => {
  const apps = Array.from({ length: APPS_MAX + 1 }, (_, nth) => `app ${nth}`);
  const model = after(...apps.map((app) => state(app)));
  expect(model.apps.map(({ app }) => app)).toEqual(apps.slice(1));
});

it('reads nothing of an app that speaks another version, and says so', () => {
  const { model, isMissing } = receive(NOTHING, { ...state('a'), version: PROTOCOL_VERSION + 1 }, 0);
  expect([model, isMissing]).toEqual([{ apps: [], otherVersion: PROTOCOL_VERSION + 1 }, false]);
});
