import { useState } from 'react';

import type { Parts, ShownJob, ShownLetter, ShownRejection } from '../../src/devtools/protocol.ts';
import { clock, duration } from './format.ts';
import { Action, type Ask, Badge, Empty, Folded, JsonDialog, Rest, Section } from './ui.tsx';

/** What is edited: a job that waits, or a dead letter, which is queued again with it. */
interface Edited {
  readonly type: 'edit' | 'retry';
  readonly job: number;
  readonly text: string;
}

export function QueueView({ parts, ask }: { readonly parts: Parts; readonly ask: Ask }) {
  const [edited, setEdited] = useState<Edited | null>(null);
  const { jobs, deadLetters, rejections, queue, stats } = parts;
  const lanes = Map.groupBy(jobs.items, ({ lane }) => lane);
  const oldestMs = Math.max(0, ...(stats?.queue ?? []).map((kind) => kind.oldestMs ?? 0));
  return (
    <>
      <dl className="tiles">
        {(['writes', 'events', 'requests', 'handlers', 'deadLetters'] as const).map((kind) => (
          <div key={kind} className="tile">
            <dt>{kind === 'deadLetters' ? 'dead letters' : kind}</dt>
            <dd>{queue[kind]}</dd>
          </div>
        ))}
        <div className="tile">
          <dt>oldest waits</dt>
          <dd>{oldestMs > 0 ? duration(oldestMs) : '–'}</dd>
        </div>
        <div className="tile">
          <dt>now</dt>
          <dd>
            {queue.paused ? (
              <Badge tone="calm">paused</Badge>
            ) : queue.processing ? (
              <Badge tone="busy">working</Badge>
            ) : (
              <Badge tone="good">at rest</Badge>
            )}
          </dd>
        </div>
      </dl>
      {deadLetters.total > 0 && (
        <Section title="Dead letters" note="given up: they wait for a decision">
          {deadLetters.items.map((letter) => (
            <Letter key={letter.job} letter={letter} ask={ask} edit={setEdited} />
          ))}
          <Rest of={deadLetters} />
        </Section>
      )}
      {rejections.total > 0 && (
        <Section title="Refused writes" note="rolled back; kept until the app acknowledges them">
          {rejections.items.map((rejection) => (
            <Rejection key={rejection.clientSeq} rejection={rejection} ask={ask} />
          ))}
          <Rest of={rejections} />
        </Section>
      )}
      <Section title="Lanes" note="jobs of one lane are done one after the other">
        {lanes.size === 0 && <Empty>No job waits.</Empty>}
        {[...lanes].map(([lane, inLane]) => (
          <div key={lane} className="lane" role="group" aria-label={`Lane ${lane}`}>
            <h3>
              <code>{lane}</code> <small>{inLane.length}</small>
            </h3>
            {inLane.map((job) => (
              <Job key={job.job} job={job} ask={ask} edit={setEdited} />
            ))}
          </div>
        ))}
        <Rest of={jobs} />
      </Section>
      {edited && (
        <JsonDialog
          title={
            edited.type === 'edit' ? `Edit job ${edited.job}` : `Edit dead letter ${edited.job}, and retry`
          }
          text={edited.text}
          saveLabel={edited.type === 'edit' ? 'Save' : 'Retry with this'}
          save={(work) => ask({ type: edited.type, job: edited.job, work })}
          close={() => {
            setEdited(null);
          }}
        />
      )}
    </>
  );
}

function Job({
  job,
  ask,
  edit,
}: {
  readonly job: ShownJob;
  readonly ask: Ask;
  readonly edit: (edited: Edited) => void;
}) {
  const isWaiting = job.state === 'waiting';
  return (
    <article className="card" aria-label={`Job ${job.job}`}>
      <div className="line">
        <span className="id">#{job.job}</span>
        <Badge tone="accent">{job.kind}</Badge>
        <code className="title">{job.title}</code>
        <Badge tone={isWaiting ? 'calm' : 'busy'}>{job.state}</Badge>
        <span className="spring" />
        <button
          type="button"
          disabled={!isWaiting || job.work.isCut}
          aria-label={`Edit job ${job.job}`}
          onClick={() => {
            edit({ type: 'edit', job: job.job, text: job.work.text });
          }}
        >
          Edit
        </button>
        <Action
          tone="danger"
          disabled={!isWaiting}
          label={`Drop job ${job.job}`}
          run={() => ask({ type: 'drop', job: job.job })}
        >
          Drop
        </Action>
      </div>
      <p className="facts">
        queued {clock(job.queuedAtMs)} · attempts {job.attempts} of {job.attemptsMax}
        {job.priority !== 0 && ` · priority ${job.priority}`}
        {job.after.length > 0 && ` · after ${job.after.map((other) => `#${other}`).join(', ')}`}
        {job.expiresAtMs !== null && ` · expires ${new Date(job.expiresAtMs).toLocaleString()}`}
      </p>
      {job.error && (
        <p className="facts bad">
          {job.error.category} {job.error.code}: {job.error.message}
        </p>
      )}
      <Folded summary="What it does" value={job.work} />
    </article>
  );
}

function Letter({
  letter,
  ask,
  edit,
}: {
  readonly letter: ShownLetter;
  readonly ask: Ask;
  readonly edit: (edited: Edited) => void;
}) {
  const { job, error } = letter;
  return (
    <article className="card dead" aria-label={`Dead letter ${job}`}>
      <div className="line">
        <span className="id">#{job}</span>
        <Badge tone="accent">{letter.kind}</Badge>
        <code className="title">{letter.title}</code>
        <Badge tone="bad">{letter.reason}</Badge>
        {letter.holdsLane && <Badge tone="busy">holds its lane</Badge>}
        <span className="spring" />
        <Action tone="primary" label={`Retry dead letter ${job}`} run={() => ask({ type: 'retry', job })}>
          Retry
        </Action>
        <button
          type="button"
          disabled={letter.work.isCut}
          aria-label={`Edit dead letter ${job}`}
          onClick={() => {
            edit({ type: 'retry', job, text: letter.work.text });
          }}
        >
          Edit…
        </button>
        <Action tone="danger" label={`Drop dead letter ${job}`} run={() => ask({ type: 'drop', job })}>
          Drop
        </Action>
      </div>
      <p className="facts bad">
        {error.category} {error.status ?? error.code}: {error.message}
      </p>
      <p className="facts">
        lane <code>{letter.lane}</code> · attempts {letter.attempts} · given up {clock(letter.diedAtMs)}
      </p>
      <Folded summary="What it does" value={letter.work} />
    </article>
  );
}

function Rejection({ rejection, ask }: { readonly rejection: ShownRejection; readonly ask: Ask }) {
  const { clientSeq, room, collection, id, error, write } = rejection;
  return (
    <article className="card dead" aria-label={`Refused write ${clientSeq}`}>
      <div className="line">
        <span className="id">#{clientSeq}</span>
        <code className="title">
          {room} / {collection} / {id}
        </code>
        <Badge tone="bad">{error.code}</Badge>
        <span className="spring" />
        <Action label={`Acknowledge write ${clientSeq}`} run={() => ask({ type: 'acknowledge', clientSeq })}>
          Acknowledge
        </Action>
      </div>
      <p className="facts bad">{error.message}</p>
      <Folded summary="What it wrote" value={write} />
    </article>
  );
}
