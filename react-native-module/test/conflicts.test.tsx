import { renderHook, waitFor } from '@testing-library/react-native';
import type { ReactNode } from 'react';

import { SynclineProvider, type SyncClient, useCollection, useConflicts } from '../src/index.ts';
import { unique, until } from './support/devices.ts';
import { worldFor } from './support/world.ts';

interface Draft {
  text: string;
}

const world = worldFor('test');

const collections = { drafts: { conflict: 'manual' } } as const;

/** Two devices that wrote the same draft without having seen each other's write; the second one's is parked. */
async function inConflict() {
  const ref = { room: unique('list'), collection: 'drafts', id: 'a' };
  const ada = await world.client('ada', [ref.room]);
  const bob = await world.client('bob', [ref.room], { collections });
  bob.subscribe(ref.room);
  await ada.insert<Draft>(ref, { text: 'first' });
  await until(bob.watch<Draft>(ref), ({ data }) => data.length === 1);
  await bob.disconnect();
  await ada.update<Draft>(ref, { text: "Ada's" });
  await ada.flush();
  await bob.update<Draft>(ref, { text: "Bob's" });
  await bob.connect();
  const [conflict] = await until(bob.conflicts, (parked) => parked.length === 1);
  return { ref, ada, bob, conflict };
}

function shown(client: SyncClient) {
  function Wrapper({ children }: { children: ReactNode }) {
    return <SynclineProvider client={client}>{children}</SynclineProvider>;
  }
  return Wrapper;
}

it('shows a write in conflict until the app decides, and then the merged document on every device', async () => {
  const { ref, ada, bob, conflict } = await inConflict();
  expect(conflict).toMatchObject({
    ...ref,
    kind: 'update_update',
    fields: ['text'],
    local: { update: { text: { set: "Bob's" } } },
    server: { text: "Ada's" },
  });
  const { result } = await renderHook(
    () => ({ drafts: useCollection<Draft>(ref), conflicts: useConflicts() }),
    { wrapper: shown(bob) },
  );
  await waitFor(() => {
    expect(result.current.drafts.data).toEqual([{ id: 'a', text: "Ada's" }]);
  });

  const [first] = result.current.conflicts.conflicts;
  await result.current.conflicts.resolve(first?.clientSeq ?? -1, { merged: { text: 'both' } });
  await waitFor(() => {
    expect(result.current.conflicts.conflicts).toEqual([]);
    expect(result.current.drafts.data).toEqual([{ id: 'a', text: 'both' }]);
  });
  await until(ada.watch<Draft>(ref), ({ data }) => data[0]?.text === 'both');
});

it('lists a write in conflict again after the app was restarted', async () => {
  const { ref, bob, conflict } = await inConflict();
  await bob.close();
  await bob.open();
  await until(bob.conflicts, (parked) => parked.length === 1 && parked[0]?.clientSeq === conflict?.clientSeq);

  await bob.resolveConflict(conflict?.clientSeq ?? -1, 'server');
  expect(bob.conflicts.get()).toEqual([]);
  await until(bob.watch<Draft>(ref), ({ data }) => data[0]?.text === "Ada's");
});
