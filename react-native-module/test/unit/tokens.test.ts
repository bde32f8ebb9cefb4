import type { Command } from '../../src/contract.ts';
import { createSyncClient, SynclineError } from '../../src/index.ts';
import { FETCH_TIMEOUT_MS, TokenSource } from '../../src/tokens.ts';
import { deferred, Refusal, ScriptedHost } from '../support/scripted-host.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

function setUp(fetch: () => Promise<string | null>) {
  const fetched = jest.fn(fetch);
  const deliver = jest.fn(() => Promise.resolve());
  const report = jest.fn<undefined, [SynclineError]>();
  const fail = jest.fn<undefined, [SynclineError]>();
  return { fetched, deliver, report, fail, tokens: new TokenSource(fetched, deliver, report, fail) };
}

it('fetches once for any number of requests', async () => {
  const { fetched, deliver, tokens } = setUp(() => Promise.resolve('t'));
  tokens.request();
  tokens.request();
  await jest.advanceTimersByTimeAsync(0);
  expect(fetched).toHaveBeenCalledTimes(1);
  expect(deliver.mock.calls).toEqual([['t']]);
});

it('joins a fetch under way', async () => {
  let answer: (token: string) => void = () => undefined;
  const { fetched, tokens } = setUp(() => new Promise((resolve) => (answer = resolve)));
  const both = Promise.all([tokens.refresh(), tokens.refresh()]);
  answer('t');
  await both;
  expect(fetched).toHaveBeenCalledTimes(1);
});

it('reports a failed fetch, and tells the core, which asks again when it wants', async () => {
  const { fetched, deliver, report, fail, tokens } = setUp(() => Promise.resolve('t'));
  fetched.mockRejectedValueOnce(new Error('no network'));
  tokens.request();
  await jest.advanceTimersByTimeAsync(0);
  expect(report.mock.calls[0]?.[0]).toMatchObject({ code: 'no_auth_token', retryable: true });
  expect(report.mock.calls[0]?.[0].message).toContain('no network');
  expect(fail.mock.calls[0]?.[0]).toMatchObject({ retryable: true });
  await jest.advanceTimersByTimeAsync(120_000);
  expect(fetched).toHaveBeenCalledTimes(1);
  tokens.request();
  await jest.advanceTimersByTimeAsync(0);
  expect(deliver).toHaveBeenCalledTimes(1);
});

it('does not ask again for the token of somebody who is signed out', async () => {
  const { fetched, report, tokens } = setUp(() => Promise.resolve(null));
  tokens.request();
  await jest.advanceTimersByTimeAsync(120_000);
  expect(fetched).toHaveBeenCalledTimes(1);
  expect(report.mock.calls[0]?.[0]).toMatchObject({ code: 'no_auth_token', retryable: false });
});

it('forgets what waits when it is stopped', async () => {
  const { fetched, tokens } = setUp(() => Promise.resolve('t'));
  tokens.request();
  tokens.stop();
  await jest.advanceTimersByTimeAsync(120_000);
  expect(fetched).not.toHaveBeenCalled();
});

it('gives up a fetch that does not answer in time, and fetches again', async () => {
  const { fetched, deliver, report, tokens } = setUp(() => Promise.resolve('t'));
  fetched.mockImplementationOnce(() => new Promise(() => undefined));
  tokens.request();
  await jest.advanceTimersByTimeAsync(FETCH_TIMEOUT_MS);
  expect(report.mock.calls[0]?.[0]).toMatchObject({ code: 'no_auth_token', retryable: true });
  tokens.request();
  await jest.advanceTimersByTimeAsync(0);
  expect(deliver.mock.calls).toEqual([['t']]);
});

it('does not hold up those who wait for a fetch that does not answer', async () => {
  const { tokens } = setUp(() => new Promise(() => undefined));
  const refreshed = expect(tokens.refresh()).rejects.toMatchObject({
    code: 'no_auth_token',
    retryable: true,
  });
  await jest.advanceTimersByTimeAsync(FETCH_TIMEOUT_MS);
  await refreshed;
});

it('drops a fetch under way when it is stopped, and serves the next request at once', async () => {
  const answers: ((token: string) => void)[] = [];
  const { deliver, report, tokens } = setUp(() => new Promise((resolve) => answers.push(resolve)));
  tokens.request();
  await jest.advanceTimersByTimeAsync(0);
  const waiting = expect(tokens.refresh()).rejects.toMatchObject({ code: 'closed' });
  tokens.stop();
  await waiting;

  tokens.request();
  await jest.advanceTimersByTimeAsync(0);
  answers[0]?.('old');
  answers[1]?.('new');
  await jest.advanceTimersByTimeAsync(0);
  expect(deliver.mock.calls).toEqual([['new']]);
  expect(report).not.toHaveBeenCalled();
});

it('does not open a closed client with a token that came late', async () => {
  const host = new ScriptedHost();
  let answer: (token: string) => void = () => undefined;
  const getToken = () => new Promise<string>((resolve) => (answer = resolve));
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory', auth: { getToken } }, host);
  const connecting = expect(client.connect()).rejects.toMatchObject({ code: 'closed' });
  await client.close();
  answer('late');
  await connecting;
  await client.open();
  expect(host.configs.map(({ token }) => token)).toEqual([undefined]);
});

it('does not take a token that the core refuses for a sign-out, nor keeps it', async () => {
  jest.useRealTimers();
  const [code, message] = ['invalid' as const, 'a line break'];
  const reason = { code, message, retry: 'never' as const, retryable: false };
  const failed = deferred<Command>();
  const host = new ScriptedHost((command) => {
    if (command.type === 'setToken') throw new Refusal(reason);
    if (command.type === 'tokenFailed') failed.resolve(command);
    return undefined;
  });
  const auth = { getToken: () => Promise.resolve('a\nb') };
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory', auth }, host);
  await client.open();
  host.emit(1, { type: 'tokenNeeded', request: 1, reason });
  expect(await failed.promise).toMatchObject({ retryable: true });
  await client.close();
  await client.open();
  expect(host.configs.map(({ token }) => token)).toEqual([undefined, undefined]);
});
