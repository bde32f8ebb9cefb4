import { type KeyboardEvent, useCallback, useState, useSyncExternalStore } from 'react';

import { PROTOCOL_VERSION, type PanelCommand, type Parts } from '../../src/devtools/protocol.ts';
import { ConnectionView } from './connection-view.tsx';
import { DocumentsView } from './documents-view.tsx';
import { toneOf } from './format.ts';
import type { Link } from './link.ts';
import { LogView } from './log-view.tsx';
import type { AppState } from './model.ts';
import { PresenceView } from './presence-view.tsx';
import { QueueView } from './queue-view.tsx';
import { Action, type Ask, Badge, messageOf } from './ui.tsx';

const TABS = ['connection', 'queue', 'documents', 'presence', 'log'] as const;
type Tab = (typeof TABS)[number];

const TITLES: Readonly<Record<Tab, string>> = {
  connection: 'Connection',
  queue: 'Queue',
  documents: 'Documents',
  presence: 'Presence',
  log: 'Log',
};

export function Panel({ link }: { readonly link: Link }) {
  const isConnected = useSyncExternalStore(link.isConnected.subscribe, link.isConnected.get);
  return (
    <>
      {!isConnected && (
        <p role="alert" className="alert">
          The dev server does not answer, or another panel took over: load this page again.
        </p>
      )}
      <Clients link={link} />
    </>
  );
}

function Clients({ link }: { readonly link: Link }) {
  const { apps, otherVersion } = useSyncExternalStore(link.model.subscribe, link.model.get);
  const [selected, setSelected] = useState<string | null>(null);
  const state = apps.find(({ app }) => app === selected) ?? apps.at(-1);
  const app = state?.app;
  const ask = useCallback(
    (command: PanelCommand) =>
      app === undefined ? Promise.reject(new Error('No app is connected.')) : link.ask(app, command),
    [link, app],
  );
  if (!state) return <Waiting otherVersion={otherVersion} />;
  return (
    <>
      <Header apps={apps} state={state} select={setSelected} ask={ask} />
      <Tabs key={state.app} state={state} ask={ask} />
    </>
  );
}

function Waiting({ otherVersion }: { readonly otherVersion: number | null }) {
  return (
    <main className="waiting">
      <Logo />
      {otherVersion === null ? (
        <>
          <h1>Waiting for an app</h1>
          <p>
            Run the app in development, with <code>useSynclineDevTools(client)</code> in a component that is
            always there.
          </p>
        </>
      ) : (
        <>
          <h1>Another version of the protocol</h1>
          <p role="alert">
            The app speaks version {otherVersion}, this panel {PROTOCOL_VERSION}. Start the dev server again
            with <code>--clear</code>, and load the app and this page again.
          </p>
        </>
      )}
    </main>
  );
}

function Logo() {
  return <img className="logo" src="icon.svg" alt="" width={24} height={24} />;
}

function Header({
  apps,
  state,
  select,
  ask,
}: {
  readonly apps: readonly AppState[];
  readonly state: AppState;
  readonly select: (app: string) => void;
  readonly ask: Ask;
}) {
  const { connection, isHeldOffline, stats } = state.parts;
  const [problem, setProblem] = useState<string | null>(null);
  const hold = () => {
    setProblem(null);
    ask({ type: 'holdOffline', offline: !isHeldOffline }).catch((error: unknown) => {
      setProblem(messageOf(error));
    });
  };
  return (
    <header className="top">
      <Logo />
      <h1>Syncline</h1>
      <select
        aria-label="Client"
        value={state.app}
        onChange={(event) => {
          select(event.target.value);
        }}
      >
        {apps.map(({ app, parts }) => (
          <option key={app} value={app}>
            {parts.name}
            {parts.stats ? ` · ${parts.stats.clientId.slice(-6)}` : ''}
          </option>
        ))}
      </select>
      <span role="status" aria-label="Connection">
        <Badge tone={toneOf(connection.state)}>{connection.state}</Badge>
      </span>
      {stats && connection.state === 'open' && <span className="note">{stats.rttMs.p50.toFixed(1)} ms</span>}
      <span className="spring" />
      {problem !== null && (
        <span role="alert" className="problem">
          {problem}
        </span>
      )}
      <Action disabled={isHeldOffline} run={() => ask({ type: 'syncNow' })}>
        Sync now
      </Action>
      <button type="button" role="switch" className="switch" aria-checked={isHeldOffline} onClick={hold}>
        <i /> Go offline
      </button>
    </header>
  );
}

/** What a tab's number says, if there is anything to say. */
function countOf(tab: Tab, parts: Parts): number {
  switch (tab) {
    case 'queue':
      return parts.queue.count + parts.deadLetters.total + parts.rejections.total;
    case 'documents':
      return parts.conflicts.total;
    case 'presence':
      return parts.presence.items.reduce((sum, { users }) => sum + users.length, 0);
    case 'connection':
    case 'log':
      return 0;
  }
}

function isAlarming(tab: Tab, parts: Parts): boolean {
  if (tab === 'documents') return parts.conflicts.total > 0;
  return tab === 'queue' && parts.deadLetters.total + parts.rejections.total > 0;
}

function Tabs({ state, ask }: { readonly state: AppState; readonly ask: Ask }) {
  const [tab, setTab] = useState<Tab>('connection');
  const { parts } = state;
  const handleKey = (event: KeyboardEvent<HTMLElement>) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length] ?? tab;
    setTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div className="body">
      <nav role="tablist" aria-label="Views" aria-orientation="vertical" onKeyDown={handleKey}>
        {TABS.map((name) => {
          const count = countOf(name, parts);
          return (
            <button
              key={name}
              type="button"
              role="tab"
              id={`tab-${name}`}
              aria-selected={name === tab}
              aria-controls="view"
              tabIndex={name === tab ? 0 : -1}
              onClick={() => {
                setTab(name);
              }}
            >
              {TITLES[name]}
              {count > 0 && <span className={isAlarming(name, parts) ? 'count bad' : 'count'}>{count}</span>}
            </button>
          );
        })}
      </nav>
      <main id="view" role="tabpanel" aria-labelledby={`tab-${tab}`}>
        <View tab={tab} state={state} ask={ask} />
      </main>
    </div>
  );
}

function View({ tab, state, ask }: { readonly tab: Tab; readonly state: AppState; readonly ask: Ask }) {
  switch (tab) {
    case 'connection':
      return <ConnectionView state={state} />;
    case 'queue':
      return <QueueView parts={state.parts} ask={ask} />;
    case 'documents':
      return <DocumentsView parts={state.parts} ask={ask} />;
    case 'presence':
      return <PresenceView rooms={state.parts.presence.items} />;
    case 'log':
      return <LogView state={state} ask={ask} />;
  }
}
