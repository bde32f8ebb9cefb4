import { render, screen, waitFor } from '@testing-library/react-native';
import { type ReactNode, startTransition, StrictMode, Suspense, use, useEffect, useState } from 'react';
import { Text } from 'react-native';

import {
  SynclineProvider,
  type SyncOptions,
  useSocketConnection,
  useSuspenseCollection,
} from '../src/index.ts';
import { unique } from './support/devices.ts';
import { deferred, ScriptedHost } from './support/scripted-host.ts';

const url = 'http://127.0.0.1:1';

/** Options that differ in `path`, for clients of one name. */
function variants() {
  const name = unique('device').replace(':', '-');
  return (path: string): SyncOptions => ({ url, name, path });
}

function Connection() {
  const { state, reason } = useSocketConnection();
  return <Text>{`${state} ${reason?.code ?? 'fine'}`}</Text>;
}

/** Which client was opened and closed, in order, by the `path` of its options. */
function journal(host: ScriptedHost): string[] {
  return host.log.map(({ client, type }) => `${type} ${String(host.configs[client - 1]?.['path'])}`);
}

it('refuses other options under a name that is in use, until it is not', async () => {
  const host = new ScriptedHost();
  const options = variants();
  const app = (paths: string[]) => (
    <>
      {paths.map((path) => (
        <SynclineProvider key={path} options={options(path)} host={host}>
          <Connection />
        </SynclineProvider>
      ))}
    </>
  );
  const view = await render(app(['/a/']));
  await screen.findByText('idle fine');

  await view.rerender(app(['/a/', '/b/']));
  await screen.findByText('closed in_use');
  expect(screen.getByText('idle fine')).toBeTruthy();
  expect(journal(host)).toEqual(['open /a/']);

  await view.rerender(app(['/b/']));
  await screen.findByText('idle fine');
  expect(journal(host)).toEqual(['open /a/', 'close /a/', 'open /b/']);
});

it('opens each client only when the one before has closed its files, back and forth', async () => {
  const closing = deferred<object>();
  const host = new ScriptedHost(({ type }) => (type === 'close' ? closing.promise : undefined));
  const options = variants();
  const app = (path: string) => (
    <StrictMode>
      <SynclineProvider options={options(path)} host={host}>
        <Connection />
      </SynclineProvider>
    </StrictMode>
  );
  const view = await render(app('/a/'));
  await screen.findByText('idle fine');
  await view.rerender(app('/b/'));
  await view.rerender(app('/c/'));
  await view.rerender(app('/a/'));
  await waitFor(() => {
    expect(host.told('close')).toHaveLength(1);
  });
  expect(journal(host)).toEqual(['open /a/']);

  closing.resolve({});
  await screen.findByText('idle fine');
  const order = journal(host);
  expect(order.at(-1)).toBe('open /a/');
  // Never two at once.
  order.forEach((entry, index) => {
    expect(entry.startsWith(index % 2 === 0 ? 'open' : 'close')).toBe(true);
  });
});

it('leaves the client alone when a render with other options is abandoned', async () => {
  const host = new ScriptedHost();
  const options = variants();
  const never = new Promise<never>(() => undefined);
  let show: (path: string) => void = () => undefined;
  const tried = jest.fn();
  function Pending() {
    tried();
    return use(never);
  }
  function App() {
    const [path, setPath] = useState('/a/');
    useEffect(() => {
      show = setPath;
    }, []);
    return (
      <Suspense fallback={null}>
        <SynclineProvider options={options(path)} host={host}>
          <Connection />
          {path === '/b/' && <Pending />}
        </SynclineProvider>
      </Suspense>
    );
  }
  const view = await render(<App />);
  await screen.findByText('idle fine');

  startTransition(() => {
    show('/b/');
  });
  await waitFor(() => {
    expect(tried).toHaveBeenCalled();
  });
  await view.rerender(<App />);
  startTransition(() => {
    show('/a/');
  });
  await view.rerender(<App />);
  await screen.findByText('idle fine');
  await view.unmount();
  await waitFor(() => {
    expect(journal(host)).toEqual(['open /a/', 'close /a/']);
  });
});

/** Longer than a client outlives its provider. */
const LATE_MS = 200;

/** A core whose rooms load at once, but for `late`. */
function loading(late?: string): ScriptedHost {
  return new ScriptedHost((command) => {
    if (command.type !== 'watch') return undefined;
    const { room } = command;
    const rows = [{ id: 'a', fields: { title: `of ${room}` }, seq: 1, pending: false }];
    const answer = { watch: 1, rows, count: 1, room: { room, state: 'live', complete: true, error: null } };
    return room === late ? new Promise((resolve) => setTimeout(resolve, LATE_MS, answer)) : answer;
  });
}

function Titles({ room }: { room: string }) {
  const { data } = useSuspenseCollection<{ title: string }>({ room, collection: 'tasks' });
  return <Text>{data.map(({ title }) => title).join()}</Text>;
}

it('keeps the client open while a boundary above the provider shows its fallback', async () => {
  const host = loading('b');
  const options = variants()('/a/');
  const app = (room: string) => (
    <StrictMode>
      <Suspense fallback={<Text>fallback</Text>}>
        <SynclineProvider options={options} host={host}>
          <Titles room={room} />
        </SynclineProvider>
      </Suspense>
    </StrictMode>
  );
  const view = await render(app('a'));
  await screen.findByText('of a');

  await view.rerender(app('b'));
  await screen.findByText('fallback');
  await screen.findByText('of b');
  expect(journal(host)).toEqual(['open /a/']);

  await view.unmount();
  await waitFor(() => {
    expect(journal(host)).toEqual(['open /a/', 'close /a/']);
  });
});

it.each(['above', 'below'])(
  'opens the client again for a component that suspends, with the boundary %s the provider',
  async (place) => {
    const host = loading();
    const options = variants()('/a/');
    const app = (room: string) => {
      const titles = <Titles room={room} />;
      const provided = (children: ReactNode) => (
        <SynclineProvider options={options} host={host}>
          {children}
        </SynclineProvider>
      );
      return place === 'above' ? (
        <Suspense fallback={null}>{provided(titles)}</Suspense>
      ) : (
        provided(<Suspense fallback={null}>{titles}</Suspense>)
      );
    };
    const view = await render(app('a'));
    await screen.findByText('of a');
    await view.unmount();
    await waitFor(() => {
      expect(journal(host)).toEqual(['open /a/', 'close /a/']);
    });

    const again = await render(app('b'));
    await screen.findByText('of b');
    await again.unmount();
    await waitFor(() => {
      expect(journal(host)).toEqual(['open /a/', 'close /a/', 'open /a/', 'close /a/']);
    });
  },
);
