import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { render, waitFor } from '@testing-library/react-native';
import { getDevToolsPluginClientAsync } from 'expo/devtools';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import type { ReactNode } from 'react';
import { Text } from 'react-native';

import { useSynclineDevTools } from '../../src/devtools.ts';
import { PLUGIN_NAME } from '../../src/devtools/protocol.ts';
import {
  type CollectionRef,
  type SyncClient,
  SynclineProvider,
  type SyncOptions,
  useCollection,
  usePresence,
} from '../../src/index.ts';
import { Backend } from '../../test/support/backend.ts';
import { settled, unique, until } from '../../test/support/devices.ts';
import { worldFor } from '../../test/support/world.ts';
import { DevServer } from './dev-server.ts';

// Metro tells an app by the address of its own bundle where it is; here there is no bundle.
const mockDevServer = new DevServer();
jest.mock('react-native/Libraries/Core/Devtools/getDevServer', () => ({
  __esModule: true,
  default: () => ({ url: `${mockDevServer.url}/` }),
}));

const CHROMIUM = (process.env['SYNCLINE_CHROMIUM'] as string | undefined) ?? '/usr/bin/chromium';
const SHOTS = process.env['SYNCLINE_SHOTS'] as string | undefined;

const collections = { drafts: { conflict: 'manual' } } as const;

const world = worldFor('file');
let browser: Browser;
let backend: Backend;
/** Whether the backend takes what it is sent. */
let isWilling = false;

beforeAll(async () => {
  Object.assign(process.env, { NODE_ENV: 'development' });
  await mockDevServer.start();
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  backend = await Backend.start(({ body }) =>
    isWilling || (body as { item?: unknown } | null)?.item === 'good'
      ? { status: 201 }
      : { status: 422, body: { message: 'no such item' } },
  );
});

afterAll(async () => {
  // Expo keeps it for the life of the app.
  await (await getDevToolsPluginClientAsync(PLUGIN_NAME)).closeAsync();
  await browser.close();
  await backend.stop();
  await mockDevServer.stop();
});

interface Task {
  text: string;
}

function Screen({ of: ref, client }: { of: CollectionRef; client: SyncClient }): ReactNode {
  useSynclineDevTools(client);
  const { data } = useCollection<Task>(ref);
  usePresence(ref.room, { state: { screen: 'list' } });
  return <Text>{data.map(({ text }) => text).join()}</Text>;
}

interface Shown {
  readonly client: SyncClient;
  readonly ref: CollectionRef;
  readonly page: Page;
  /** What belongs to the panel's client of this test. */
  readonly open: (tab: string) => Promise<Locator>;
}

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  isWilling = false;
  for (const end of ends.splice(0).reverse()) await end();
});

/** An app with a client that the panel shows. */
async function shown(collection = 'tasks', more: Partial<SyncOptions> = {}): Promise<Shown> {
  const ref = { room: unique('list'), collection };
  const client = await world.client('ada', [ref.room], { apiUrl: backend.url, ...more });
  const app = await render(
    <SynclineProvider client={client}>
      <Screen of={ref} client={client} />
    </SynclineProvider>,
  );
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
  const page = await context.newPage();
  page.on('pageerror', (error) => {
    throw error;
  });
  await page.goto(mockDevServer.panelUrl);
  ends.push(
    () => context.close(),
    async () => {
      await app.unmount();
      await client.close();
    },
  );
  await page.getByLabel('Client').waitFor();
  return {
    client,
    ref,
    page,
    async open(tab) {
      await page.getByRole('tab', { name: new RegExp(`^${tab}`) }).click();
      return page.getByRole('tabpanel');
    },
  };
}

/** A picture for people, where they asked for one. */
async function picture(page: Page, name: string): Promise<void> {
  if (SHOTS === undefined) return;
  mkdirSync(SHOTS, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`) });
  }
}

it('waits for an app', async () => {
  const page = await browser.newPage();
  await page.goto(mockDevServer.panelUrl);
  await page.getByRole('heading', { name: 'Waiting for an app' }).waitFor();
  await page.close();
});

it('shows how the connection came about, and how fast it is', async () => {
  const { page, client, ref, open } = await shown();
  await settled(client);
  await client.disconnect();
  await until(client.connection, ({ state }) => state === 'idle');
  await client.connect();
  await client.insert(ref, { text: 'Buy milk' });
  const view = await open('Connection');
  await page.getByRole('status', { name: 'Connection' }).getByText('open').waitFor();
  await view.getByRole('row', { name: /idle.*client_disconnect/ }).waitFor();
  await view.getByRole('row', { name: /open/ }).first().waitFor();
  await view.getByRole('img', { name: /^Round trip: median/ }).waitFor();
  await view.getByRole('img', { name: /^Push of writes: median/ }).waitFor();
  await picture(page, 'connection');
});

it('shows what waits by lanes, and changes or drops it', async () => {
  const { page, client, open } = await shown();
  await settled(client);
  await client.queue.stop();
  const { job } = await client.queue.add({ endpoint: '/orders', data: { item: 'bad' } }, { lane: 'orders' });
  await client.queue.add({ endpoint: '/orders', data: { item: 'late' } }, { lane: 'orders' });
  await client.queue.emit('typing', [true], { lane: 'chat' });
  const view = await open('Queue');
  const orders = view.getByRole('group', { name: 'Lane orders' });
  await orders.getByText('POST /orders').nth(1).waitFor();
  await view.getByRole('group', { name: 'Lane chat' }).getByText('typing', { exact: true }).waitFor();
  await picture(page, 'queue');

  await view.getByRole('button', { name: `Edit job ${job}` }).click();
  const dialog = page.getByRole('dialog');
  const json = dialog.getByRole('textbox', { name: 'JSON' });
  const work = await json.inputValue();
  await json.fill('{');
  await dialog.getByRole('button', { name: 'Save' }).and(page.locator(':disabled')).waitFor();
  await json.fill(work.replace('"bad"', '"good"'));
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  const [edited] = await client.queue.list();
  expect(edited?.work).toMatchObject({ request: { body: { item: 'good' } } });
  const card = view.getByRole('article', { name: `Job ${job}`, exact: true });
  await card.getByText('"item": "good"').waitFor({ state: 'attached' });

  await view.getByRole('button', { name: `Drop job ${job}` }).click();
  await view.getByRole('article', { name: `Job ${job}`, exact: true }).waitFor({ state: 'detached' });
  expect((await client.queue.list()).map((info) => info.job)).not.toContain(job);
});

it('retries a dead letter, as it was or edited, and drops one', async () => {
  const { page, client, open } = await shown();
  const lanes = ['a', 'b', 'c'];
  for (const lane of lanes) {
    await client.queue.add({ endpoint: `/${lane}`, data: { item: 'bad' } }, { lane });
  }
  const letters = await until(client.queue.deadLetters, ({ length }) => length === lanes.length);
  const job = (lane: string) => letters.find((letter) => letter.lane === lane)?.job ?? 0;
  const asked = backend.asked.length;
  const view = await open('Queue');
  const card = (lane: string) => view.getByRole('article', { name: `Dead letter ${job(lane)}`, exact: true });
  await card('a').getByText('422').waitFor();
  await card('c').waitFor();
  await picture(page, 'dead-letters');

  await card('a').getByRole('button', { name: /^Edit/ }).click();
  const dialog = page.getByRole('dialog');
  const json = dialog.getByRole('textbox', { name: 'JSON' });
  await json.fill((await json.inputValue()).replace('"bad"', '"good"'));
  await picture(page, 'edit');
  await dialog.getByRole('button', { name: 'Retry with this' }).click();
  await card('a').waitFor({ state: 'detached' });

  isWilling = true;
  await card('b')
    .getByRole('button', { name: /^Retry/ })
    .click();
  await card('b').waitFor({ state: 'detached' });
  await card('c').getByRole('button', { name: /^Drop/ }).click();
  await view.getByRole('heading', { name: 'Dead letters' }).waitFor({ state: 'detached' });

  await waitFor(() => {
    expect(backend.asked.slice(asked).map(({ path, body }) => [path, body])).toEqual([
      ['/a', { item: 'good' }],
      ['/b', { item: 'bad' }],
    ]);
  });
  await until(client.queue, ({ count, deadLetters }) => count + deadLetters === 0);
});

it('says why something that it asked for was refused', async () => {
  const { page, client, open } = await shown();
  await client.queue.stop();
  const { job } = await client.queue.add({ endpoint: '/orders' });
  const view = await open('Queue');
  await view.getByRole('button', { name: `Edit job ${job}` }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'JSON' }).fill('{"letter": {}}');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog
    .getByRole('alert')
    .getByText(/^invalid: a job is one of/)
    .waitFor();
});

it('takes the client offline, holds it there, and gives back what was', async () => {
  const { page, client, ref } = await shown();
  await settled(client);
  const toggle = page.getByRole('switch', { name: 'Go offline' });
  await toggle.click();
  await page.getByRole('switch', { name: 'Go offline', checked: true }).waitFor();
  await until(client.connection, ({ state }) => state === 'idle');
  await page.getByRole('status', { name: 'Connection' }).getByText('idle').waitFor();

  const asked = backend.asked.length;
  const id = await client.insert(ref, { text: 'written offline' });
  await client.queue.add({ endpoint: '/orders', data: { item: 'good' } });
  const other = await world.client('bob', [ref.room]);
  other.subscribe(ref.room);
  await settled(other);
  await other.pull();
  expect(await other.document({ ...ref, id })).toBeNull();
  expect(backend.asked.length).toBe(asked);

  // What the app wishes is undone.
  await client.connect().catch(() => undefined);
  await until(client.connection, ({ state }) => state === 'idle');

  await toggle.click();
  await until(other.watch({ ...ref, id }), ({ data }) => data.length === 1);
  await waitFor(() => {
    expect(backend.asked.slice(asked).map(({ path }) => path)).toEqual(['/orders']);
  });
  await page.getByRole('switch', { name: 'Go offline', checked: false }).waitFor();
  await other.close();
});

it('shows documents as confirmed and pending', async () => {
  const { page, client, ref, open } = await shown();
  await client.insert<Task>({ ...ref, id: 'one' }, { text: 'Buy milk' });
  await client.flush();
  await client.disconnect();
  await client.insert<Task>({ ...ref, id: 'two' }, { text: 'Walk the dog' });
  const view = await open('Documents');
  await view.getByRole('button', { name: /^tasks/ }).click();
  const row = (id: string) => view.locator(`[data-document="${id}"]`);
  await row('one').getByText('confirmed').waitFor();
  await row('two').getByText('pending').waitFor();
  await picture(page, 'documents');

  await view.getByRole('searchbox', { name: 'Filter documents' }).fill('milk');
  await row('two').waitFor({ state: 'detached' });
  await view.getByRole('searchbox', { name: 'Filter documents' }).fill('');
  await view.getByRole('combobox', { name: 'State' }).selectOption('pending');
  await row('one').waitFor({ state: 'detached' });

  await client.connect();
  await view.getByRole('combobox', { name: 'State' }).selectOption('confirmed');
  await row('two').getByText('confirmed').waitFor();
});

it('opens a collection that the app does not watch, for as long as it is shown', async () => {
  const { client, ref, open } = await shown();
  await client.insert({ room: ref.room, collection: 'notes', id: 'hidden' }, { text: 'found' });
  const view = await open('Documents');
  await view.getByRole('textbox', { name: 'Room' }).fill(ref.room);
  await view.getByRole('textbox', { name: 'Collection' }).fill('notes');
  await view.getByRole('button', { name: 'Open' }).click();
  await view.locator('[data-document="hidden"]').waitFor();
  await until(client.queries, (queries) => queries.some(({ collection }) => collection === 'notes'));
  await view.getByRole('button', { name: 'Close' }).click();
  await until(client.queries, (queries) => !queries.some(({ collection }) => collection === 'notes'));
});

it('shows a conflict, with both sides, and decides about it', async () => {
  const { page, client, ref, open } = await shown('drafts', { collections });
  const document = { ...ref, id: 'a' };
  const other = await world.client('bob', [ref.room]);
  await other.insert<Task>(document, { text: 'first' });
  await until(client.watch<Task>(ref), ({ data }) => data.length === 1);
  await client.disconnect();
  await other.update<Task>(document, { text: "Bob's" });
  await other.flush();
  await client.update<Task>(document, { text: "Ada's" });
  await client.connect();

  const view = await open('Documents');
  const card = view.getByRole('article', { name: /^Conflict/ });
  await card.getByText("Ada's").waitFor();
  await card.getByText("Bob's").waitFor();
  await view.getByRole('button', { name: /^drafts/ }).click();
  await view.locator('[data-document="a"]').getByText('conflict').waitFor();
  await picture(page, 'conflict');

  await card.getByRole('button', { name: 'Merge…' }).click();
  const dialog = page.getByRole('dialog');
  const json = dialog.getByRole('textbox', { name: 'JSON' });
  await json.fill((await json.inputValue()).replace("Bob's", 'both'));
  await dialog.getByRole('button', { name: 'Resolve with this' }).click();
  await view.getByRole('heading', { name: 'Conflicts' }).waitFor({ state: 'detached' });
  await until(other.watch<Task>(ref), ({ data }) => data[0]?.text === 'both');
  expect(client.conflicts.get()).toEqual([]);
  await other.close();
});

it('shows who is in the rooms of the app', async () => {
  const { page, client, ref, open } = await shown();
  const other = await world.client('bob', [ref.room]);
  other.announce(ref.room, Symbol('bob'), { screen: 'editor' });
  const view = await open('Presence');
  await view
    .getByRole('row', { name: /ada.*this client.*list/ })
    .first()
    .waitFor();
  await view.getByRole('row', { name: /bob.*editor/ }).waitFor();
  await picture(page, 'presence');
  await other.close();
  await view.getByRole('row', { name: /bob/ }).waitFor({ state: 'detached' });
  expect(client.presences.held.get()).toEqual([ref.room]);
});

it('shows the log, by level and by text', async () => {
  const { page, client, ref, open } = await shown();
  await settled(client);
  await client.insert(ref, { text: 'logged' });
  await client.flush();
  const view = await open('Log');
  const log = view.getByRole('log');
  await log.getByText('syncline.connected').first().waitFor();
  await log.getByText('syncline.pushed').first().waitFor();
  await picture(page, 'log');

  await view.getByRole('searchbox', { name: 'Filter the log' }).fill('pushed');
  await log.getByText('syncline.connected').first().waitFor({ state: 'detached' });
  expect(await log.getByText('syncline.pushed').count()).toBeGreaterThan(0);

  await view.getByRole('searchbox', { name: 'Filter the log' }).fill('');
  await view.getByRole('combobox', { name: 'Level that is shown' }).selectOption('info');
  await log.getByText('syncline.connected').first().waitFor();
  expect(await log.getByText('syncline.pushed').count()).toBe(0);

  await view.getByRole('combobox', { name: 'Level that is recorded' }).selectOption('error');
  await view.getByRole('combobox', { name: 'Level that is shown' }).selectOption('trace');
  await view.getByRole('button', { name: 'Clear' }).click();
  await client.insert(ref, { text: 'not logged' });
  await client.flush();
  await view.getByRole('combobox', { name: 'Level that is recorded' }).selectOption('debug');
  await until(client.queue, ({ count }) => count === 0);
  await client.insert(ref, { text: 'logged' });
  await client.flush();
  // The second of the two.
  await log.getByText('syncline.pushed').waitFor();
  expect(await log.getByText('syncline.pushed').count()).toBe(1);
});

it('knows several clients, and forgets those that end', async () => {
  const first = await shown();
  const second = await shown();
  // One page at a time, says Expo.
  await first.page
    .getByRole('alert')
    .getByText(/another panel took over/)
    .waitFor();
  const choice = second.page.getByRole('combobox', { name: 'Client' });
  await choice.getByRole('option', { name: first.client.name }).waitFor({ state: 'attached' });
  await choice.selectOption({ index: 0 });
  expect(await choice.getByRole('option').count()).toBe(2);
  await ends.splice(1, 1)[0]?.();
  await choice.getByRole('option', { name: first.client.name }).waitFor({ state: 'detached' });
});

it('is used by the keyboard alone', async () => {
  const { page, client } = await shown();
  await settled(client);
  await page.getByRole('tab', { name: 'Connection' }).focus();
  await page.keyboard.press('ArrowDown');
  await page.getByRole('tab', { name: 'Queue', selected: true }).and(page.locator(':focus')).waitFor();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  await page.getByRole('tab', { name: 'Log', selected: true }).waitFor();
  await page.getByRole('switch').focus();
  await page.keyboard.press('Space');
  await until(client.connection, ({ state }) => state === 'idle');
});

it('goes on after the page is loaded again, and after the app was silent', async () => {
  const { page, client, open } = await shown();
  await settled(client);
  await page.reload();
  await page.getByLabel('Client').waitFor();
  const view = await open('Connection');
  await view.getByRole('row', { name: /open/ }).first().waitFor();
  await client.close();
  await page.getByRole('status', { name: 'Connection' }).getByText('closed').waitFor();
  await client.open();
  await page.getByRole('status', { name: 'Connection' }).getByText('open').waitFor();
});
