import { createSyncClient } from '../../src/index.ts';
import type { Event, JobOutcome } from '../../src/contract.ts';
import { IDLE_CONNECTION, IDLE_PROGRESS } from '../../src/idle.ts';
import { ScriptedHost, turn } from '../support/scripted-host.ts';

const online: Event = { type: 'connection', status: { ...IDLE_CONNECTION, state: 'open' } };
const progress: Event = { type: 'progress', progress: { ...IDLE_PROGRESS, phase: 'complete' } };
const title = (text: string): Event => ({
  type: 'rows',
  watch: 1,
  reset: false,
  upserted: [{ id: 'a', fields: { title: text }, seq: 1, pending: false }],
  removed: [],
});

async function setUp() {
  const room = { room: 'r', state: 'live', complete: true, error: null };
  const host = new ScriptedHost(({ type }) =>
    type === 'watch' ? { watch: 1, rows: [], count: 0, room } : undefined,
  );
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const errors: string[] = [];
  client.on('error', ({ error }) => errors.push(error.message));
  const tasks = client.watch<{ title: string }>({ room: 'r', collection: 'tasks' });
  tasks.subscribe(() => undefined);
  await turn();
  return { host, client, tasks, errors };
}

const fail = () => {
  throw new Error('mine');
};

it('hands the rest of the events over when a listener fails, to the other listeners too, and reports it', async () => {
  const { host, client, tasks, errors } = await setUp();
  const heard: string[] = [];
  client.on('connection', fail);
  client.on('connection', ({ status }) => heard.push(status.state));
  host.emit(1, online, progress, title('one'));
  expect(heard).toEqual(['open']);
  expect(client.progress.get().phase).toBe('complete');
  expect(tasks.get().data).toMatchObject([{ title: 'one' }]);
  expect(errors).toEqual(['mine']);
});

it('does the same when who looks at an observable fails', async () => {
  const { host, client, tasks, errors } = await setUp();
  const heard: string[] = [];
  client.connection.subscribe(fail);
  client.connection.subscribe(() => heard.push('connection'));
  tasks.subscribe(fail);
  tasks.subscribe(() => heard.push('tasks'));
  host.emit(1, online, title('one'));
  expect(heard).toEqual(['connection', 'tasks']);
  expect(errors).toEqual(['mine', 'mine']);
});

it('tells the console of a listener to errors that fails itself', async () => {
  const { host, client, errors } = await setUp();
  const complained = jest.spyOn(console, 'error').mockImplementation(() => undefined);
  client.on('error', fail);
  client.on('connection', fail);
  host.emit(1, online, title('one'));
  expect(errors).toEqual(['mine']);
  expect(complained).toHaveBeenCalledTimes(1);
  complained.mockRestore();
});

it('hands the rest of the events over when who waits for a job fails', async () => {
  const enqueued = { enqueued: [{ job: 1, duplicate: false }], jobs: [], more: false };
  const host = new ScriptedHost(({ type }) => (type === 'jobs' ? enqueued : undefined));
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const errors: string[] = [];
  client.on('error', ({ error }) => errors.push(error.message));
  await client.queue.enqueue({ work: { event: { name: 'a', args: [] } } }, fail);
  const outcome: JobOutcome = { job: 1, kind: 'event', lane: 'event:a', result: [], kept: false };
  host.emit(1, { type: 'job', event: { type: 'done', outcome } }, progress);
  expect(client.progress.get().phase).toBe('complete');
  expect(errors).toEqual(['mine']);
});
