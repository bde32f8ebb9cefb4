import { type SubmitEvent, useState } from 'react';

import type {
  DocumentState,
  Parts,
  ShownConflict,
  ShownDocuments,
  ShownRoom,
} from '../../src/devtools/protocol.ts';
import type { CoreQuery } from '../../src/watches.ts';
import { count, describeQuery } from './format.ts';
import {
  Action,
  type Ask,
  Badge,
  Empty,
  Json,
  JsonDialog,
  messageOf,
  Problem,
  Rest,
  Section,
  Table,
  TextInput,
  type Tone,
} from './ui.tsx';

const TONES: Readonly<Record<DocumentState, Tone>> = { confirmed: 'good', pending: 'busy', conflict: 'bad' };

const ROOM_TONES: Readonly<Record<ShownRoom['state'], Tone>> = {
  waiting: 'calm',
  loading: 'busy',
  live: 'good',
  denied: 'bad',
};

export function DocumentsView({ parts, ask }: { readonly parts: Parts; readonly ask: Ask }) {
  const { conflicts, queries, documents, rooms } = parts;
  const [problem, setProblem] = useState<string | null>(null);
  const select = (query: CoreQuery | null) => {
    setProblem(null);
    ask({ type: 'select', query }).catch((error: unknown) => {
      setProblem(messageOf(error));
    });
  };
  const selected = documents && JSON.stringify(documents.query);
  return (
    <>
      {conflicts.total > 0 && (
        <Section title="Conflicts" note="writes that wait for a decision; they are not shown to the app">
          {conflicts.items.map((conflict) => (
            <Conflict key={conflict.clientSeq} conflict={conflict} ask={ask} />
          ))}
          <Rest of={conflicts} />
        </Section>
      )}
      <div className="split">
        <div>
          <Section title="Queries" note={`${queries.total} watched`}>
            <ul className="queries">
              {queries.items.map((query) => {
                const key = JSON.stringify(query);
                return (
                  <li key={key}>
                    <button
                      type="button"
                      aria-pressed={key === selected}
                      onClick={() => {
                        select(query);
                      }}
                    >
                      <strong>{query.collection}</strong>
                      <small>{query.room}</small>
                      <small>{describeQuery(query)}</small>
                    </button>
                  </li>
                );
              })}
            </ul>
            {queries.total === 0 && <Empty>The app watches nothing now.</Empty>}
            <Rest of={queries} />
            <OpenForm open={select} />
            <Problem text={problem} />
          </Section>
          <Section title="Rooms">
            {rooms.total === 0 && <Empty>No room was synchronized yet.</Empty>}
            <ul className="rooms">
              {rooms.items.map(({ room, state, complete, error }) => (
                <li key={room}>
                  <Badge tone={ROOM_TONES[state]}>{state}</Badge> <code>{room}</code>
                  {complete && <small> complete</small>}
                  {error && <small className="bad"> {error.message}</small>}
                </li>
              ))}
            </ul>
          </Section>
        </div>
        {documents ? (
          <Documents
            key={selected}
            documents={documents}
            close={() => {
              select(null);
            }}
          />
        ) : (
          <Empty>Select a query, or open a collection, to see its documents.</Empty>
        )}
      </div>
    </>
  );
}

function OpenForm({ open }: { readonly open: (query: CoreQuery) => void }) {
  const [room, setRoom] = useState('');
  const [collection, setCollection] = useState('');
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    open({ room, collection });
  };
  return (
    <form className="open" onSubmit={submit}>
      <TextInput label="Room" placeholder="room" required value={room} onText={setRoom} />
      <TextInput
        label="Collection"
        placeholder="collection"
        required
        value={collection}
        onText={setCollection}
      />
      <button type="submit">Open</button>
    </form>
  );
}

function Documents({ documents, close }: { readonly documents: ShownDocuments; readonly close: () => void }) {
  const [text, setText] = useState('');
  const [only, setOnly] = useState<DocumentState | 'all'>('all');
  const { query, status, error, rows } = documents;
  const wanted = text.toLowerCase();
  const shown = rows.items.filter(
    ({ id, state, fields }) =>
      (only === 'all' || state === only) && `${id} ${fields.text}`.toLowerCase().includes(wanted),
  );
  return (
    <Section
      title={query.collection}
      note={`${count(rows.total, 'document')}, ${status}`}
      actions={
        <>
          <select
            aria-label="State"
            value={only}
            onChange={(event) => {
              setOnly(event.target.value as DocumentState | 'all');
            }}
          >
            {['all', ...Object.keys(TONES)].map((state) => (
              <option key={state}>{state}</option>
            ))}
          </select>
          <TextInput
            type="search"
            label="Filter documents"
            placeholder="Filter"
            value={text}
            onText={setText}
          />
          <button type="button" onClick={close}>
            Close
          </button>
        </>
      }
    >
      <Problem role="status" text={error} />
      <Table columns={['State', 'Id', 'Fields']}>
        {shown.map(({ id, state, fields }) => (
          <tr key={id} data-document={id}>
            <td>
              <Badge tone={TONES[state]}>{state}</Badge>
            </td>
            <td>
              <code>{id}</code>
            </td>
            <td>
              <details>
                <summary className="one-line">{fields.text.replace(/\s+/g, ' ')}</summary>
                <Json value={fields} />
              </details>
            </td>
          </tr>
        ))}
      </Table>
      {shown.length === 0 && <Empty>Nothing to show.</Empty>}
      <Rest of={rows} />
    </Section>
  );
}

function Conflict({ conflict, ask }: { readonly conflict: ShownConflict; readonly ask: Ask }) {
  const { clientSeq, room, collection, id, kind, fields, local, server } = conflict;
  const [isMerging, setMerging] = useState(false);
  return (
    <article className="card dead" aria-label={`Conflict ${clientSeq}`}>
      <div className="line">
        <span className="id">#{clientSeq}</span>
        <code className="title">
          {room} / {collection} / {id}
        </code>
        <Badge tone="bad">{kind}</Badge>
        <span className="spring" />
        <Action run={() => ask({ type: 'resolve', clientSeq, resolution: 'local' })}>Keep local</Action>
        <Action run={() => ask({ type: 'resolve', clientSeq, resolution: 'server' })}>
          Take the server's
        </Action>
        <button
          type="button"
          disabled={server.isCut}
          onClick={() => {
            setMerging(true);
          }}
        >
          Merge…
        </button>
      </div>
      {fields.length > 0 && <p className="facts">both wrote {fields.join(', ')}</p>}
      <div className="sides">
        <div>
          <h3>This device wrote</h3>
          <Json value={local} />
        </div>
        <div>
          <h3>The server has</h3>
          <Json value={server} />
        </div>
      </div>
      {isMerging && (
        <JsonDialog
          title={`Merge ${collection} / ${id}`}
          text={server.text}
          saveLabel="Resolve with this"
          save={(text) =>
            ask({
              type: 'resolve',
              clientSeq,
              resolution: { merged: JSON.parse(text) as Record<string, never> },
            })
          }
          close={() => {
            setMerging(false);
          }}
        />
      )}
    </article>
  );
}
