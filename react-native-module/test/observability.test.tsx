import { render, waitFor } from '@testing-library/react-native';
import { Text } from 'react-native';

import { SyncDebugPanel } from '../src/components.ts';
import { createSyncClient, type LogLine, setLogger, SynclineProvider, useDebugLog } from '../src/index.ts';
import { ScriptedHost } from './support/scripted-host.ts';

const LATENCY = { p50: 1, p95: 2, p99: 3, count: 4 };
const STATS = {
  clientId: 'c',
  state: 'open',
  rttMs: LATENCY,
  pushMs: LATENCY,
  pullMs: LATENCY,
  queue: [{ kind: 'mutation', count: 3, oldestMs: 61_000 }],
  confirmed: 7,
  rejected: 1,
  conflicts: 2,
  reconnects: 5,
  bytesSent: 10,
  bytesReceived: 20,
  diskBytes: 30,
};
const EVENTS = [
  { atMs: 1_000, kind: 'push', detail: 'room #00aa11: 3 writes' },
  { atMs: 2_000, kind: 'pushed', detail: 'room #00aa11: 3 writes answered in 9 ms' },
];

/** A host that carries a log. */
class LoggingHost extends ScriptedHost {
  level = 'off';
  sink: ((lines: string) => void) | null = null;

  setLogSink(level: string, sink: ((lines: string) => void) | null): string {
    this.level = level;
    this.sink = sink;
    return JSON.stringify({ ok: {} });
  }

  say(message: string, level = 'info'): void {
    const line = { atMs: 1, level, target: 'syncline', event: null, message, dropped: 0 };
    this.sink?.(JSON.stringify([line]));
  }
}

function scripted(): ScriptedHost {
  return new ScriptedHost((command) => {
    if (command.type === 'stats') return STATS;
    if (command.type === 'trace') return { events: EVENTS };
    return undefined;
  });
}

it('shows the connection, the figures and the last events', async () => {
  const screen = await render(
    <SynclineProvider
      options={{ url: 'http://127.0.0.1:1', store: 'memory', name: 'panel' }}
      host={scripted()}
    >
      <SyncDebugPanel intervalMs={10} />
    </SynclineProvider>,
  );
  await waitFor(() => screen.getByText(/pushed room #00aa11: 3 writes answered in 9 ms/));
  screen.getByText('waiting: 3 mutation, oldest 61 s');
  screen.getByText('confirmed / rejected / conflicts: 7 / 1 / 2');
  await screen.unmount();
});

it('reads nothing once nobody looks', async () => {
  const host = scripted();
  const screen = await render(
    <SynclineProvider options={{ url: 'http://127.0.0.1:1', store: 'memory', name: 'polled' }} host={host}>
      <SyncDebugPanel intervalMs={1} />
    </SynclineProvider>,
  );
  const reads = () => host.calls.filter(({ command }) => command.type === 'trace').length;
  await waitFor(() => {
    expect(reads()).toBeGreaterThan(2);
  });
  await screen.unmount();
  const before = reads();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(reads()).toBe(before);
});

it('gets the last events from the core', async () => {
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, scripted());
  expect(await client.trace()).toEqual(EVENTS);
  await client.close();
});

it('hands lines of the log over until it is told to stop', () => {
  const host = new LoggingHost();
  const lines: LogLine[] = [];
  setLogger('debug', (line) => lines.push(line), host);
  host.say('heard');
  setLogger('off', null, host);
  host.say('not heard');
  expect(lines.map(({ message }) => message)).toEqual(['heard']);
});

it('logs for several listeners, to each what it wants', () => {
  const host = new LoggingHost();
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const heard: string[] = [];
  setLogger('warn', ({ message }) => heard.push(`app ${message}`), host);
  const end = client.onLog('debug', ({ message }) => heard.push(`tool ${message}`));
  expect(host.level).toBe('debug');
  host.say('fine');
  host.say('odd', 'warn');
  end();
  expect(host.level).toBe('warn');
  host.say('odder', 'warn');
  setLogger('off', null, host);
  expect([host.level, host.sink]).toEqual(['off', null]);
  expect(heard).toEqual(['tool fine', 'app odd', 'tool odd', 'app odder']);
});

it('refuses a logger where the host carries no log', () => {
  const refused = () => {
    setLogger('debug', () => undefined, new ScriptedHost());
  };
  expect(refused).toThrow('does not carry the log');
});

it('shows the last lines of the log while it is mounted', async () => {
  const host = new LoggingHost();
  function Log() {
    const lines = useDebugLog('info', { linesMax: 2, host });
    return <Text>{lines.map(({ message }) => message).join(' ')}</Text>;
  }
  const screen = await render(<Log />);
  for (const message of ['one', 'two', 'three']) host.say(message);
  await waitFor(() => screen.getByText('two three'));
  await screen.unmount();
  expect(host.level).toBe('off');
});
