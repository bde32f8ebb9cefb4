import { createSyncClient } from '../../src/index.ts';
import { deferred, ScriptedHost, turn } from '../support/scripted-host.ts';

function setUp(answer?: ConstructorParameters<typeof ScriptedHost>[0]) {
  const host = new ScriptedHost(answer);
  const client = createSyncClient({ url: 'http://127.0.0.1:1', store: 'memory' }, host);
  const told = () =>
    host.calls
      .filter(({ command }) => command.type === 'subscribe' || command.type === 'unsubscribe')
      .map(({ client: number, command }) => `${number} ${command.type}`);
  return { host, client, told };
}

it('asks for a room once for all, and gives it up after the last', async () => {
  const { client, told } = setUp();
  const ends = [client.subscribe('r'), client.subscribe('r')];
  await turn();
  expect(told()).toEqual(['1 subscribe']);

  ends[0]?.();
  ends[0]?.();
  await turn();
  expect(told()).toEqual(['1 subscribe']);
  ends[1]?.();
  await turn();
  expect(told()).toEqual(['1 subscribe', '1 unsubscribe']);
});

it('asks again for a room when the client is opened again', async () => {
  const { client, told } = setUp();
  client.subscribe('r');
  await turn();
  await client.close();
  await client.open();
  await turn();
  expect(told()).toEqual(['1 subscribe', '2 subscribe']);
});

it('does not give up on the new channel what it asked for on the old one', async () => {
  const { client, told } = setUp();
  const end = client.subscribe('r');
  await turn();
  await client.close();
  end();
  await client.open();
  await turn();
  expect(told()).toEqual(['1 subscribe']);
});

it('asks the new channel when the answer of the old one comes after the closing', async () => {
  const first = deferred<object>();
  const { client, told } = setUp((command, number) =>
    command.type === 'subscribe' && number === 1 ? first.promise : undefined,
  );
  const end = client.subscribe('r');
  await turn();
  await client.close();
  await client.open();
  first.resolve({});
  await turn();
  expect(told()).toEqual(['1 subscribe', '2 subscribe']);
  end();
  await turn();
  expect(told()).toEqual(['1 subscribe', '2 subscribe', '2 unsubscribe']);
});

it('reports a room that it cannot ask for', async () => {
  const { client } = setUp();
  const codes: string[] = [];
  client.on('error', ({ error }) => codes.push(error.code));
  await client.close();
  client.subscribe('r');
  await turn();
  expect(codes).toEqual(['closed']);
});
