import { renderHook, waitFor } from '@testing-library/react-native';
import * as v from 'valibot';
import { z } from 'zod';

import { type ErrorBody, type SyncClient, useCollection } from '../src/index.ts';
import { settled, unique } from './support/devices.ts';
import { strictlyWithin } from './support/render.tsx';
import { worldFor } from './support/world.ts';

const world = worldFor('file');

function errorsOf(client: SyncClient): ErrorBody[] {
  const errors: ErrorBody[] = [];
  client.on('error', ({ error }) => errors.push(error));
  return errors;
}

const SCHEMAS = {
  zod: z.object({ title: z.string(), due: z.coerce.date() }),
  valibot: v.object({
    title: v.string(),
    due: v.pipe(
      v.string(),
      v.transform((text) => new Date(text)),
    ),
  }),
};

it.each(Object.entries(SCHEMAS))(
  'shows only documents that a schema of %s accepts, as it makes them',
  async (_, schema) => {
    const room = unique('list');
    const ref = { room, collection: 'tasks' };
    const ada = await world.client('ada', [room], { validate: { collections: { tasks: schema } } });
    const bob = await world.client('bob', [room]);
    const errors = errorsOf(ada);
    await bob.insert({ ...ref, id: 'a' }, { title: 'good', due: '2026-01-01T00:00:00Z' });
    await bob.insert({ ...ref, id: 'b' }, { title: 7, due: '2026-01-01T00:00:00Z' });
    await settled(bob);

    const { result } = await renderHook(
      () => useCollection<{ title: string; due: Date }>({ ...ref, orderBy: [{ path: 'title' }] }),
      { wrapper: strictlyWithin(ada) },
    );
    await waitFor(() => {
      expect(result.current.status).toBe('complete');
    });
    const [good, ...others] = result.current.data;
    expect(good).toEqual({ id: 'a', title: 'good', due: new Date('2026-01-01T00:00:00Z') });
    expect(others).toEqual([]);
    expect(errors).toMatchObject([
      {
        code: 'invalid',
        retryable: false,
        message: expect.stringContaining('document b of tasks') as string,
      },
    ]);
    await expect(ada.document({ ...ref, id: 'b' })).rejects.toMatchObject({ code: 'invalid' });

    // Mended, it is shown; the other one is the same object as before.
    await bob.update({ ...ref, id: 'b' }, { title: 'better' });
    await waitFor(() => {
      expect(result.current.data.map(({ title }) => title)).toEqual(['better', 'good']);
    });
    expect(result.current.data[1]).toBe(good);

    // What becomes invalid is a bad row no more.
    await bob.update({ ...ref, id: 'a' }, { title: null });
    await waitFor(() => {
      expect(result.current.data.map(({ title }) => title)).toEqual(['better']);
    });
    expect(errors).toHaveLength(2);
  },
);

it('reports a validator that throws, or that answers late, and goes on', async () => {
  const room = unique('list');
  const ref = { room, collection: 'tasks' };
  const tasks = ({ title }: { title?: unknown }) => {
    if (title === 'late') return Promise.reject(new Error('too late'));
    throw new TypeError('never');
  };
  const ada = await world.client('ada', [room], {
    autoConnect: false,
    validate: { collections: { tasks: tasks as (value: unknown) => unknown } },
  });
  const errors = errorsOf(ada);
  const { result } = await renderHook(() => useCollection(ref), { wrapper: strictlyWithin(ada) });
  await ada.insert({ ...ref, id: 'a' }, { title: 'late' });
  await ada.insert({ ...ref, id: 'b' }, { title: 'thrown' });
  await waitFor(() => {
    expect(errors.map(({ message }) => message)).toEqual([
      'the document a of tasks is not valid: its validator answers with a promise',
      'the document b of tasks is not valid: never',
    ]);
  });
  expect(result.current.data).toEqual([]);
});
