import type { ShownPresence } from '../../src/devtools/protocol.ts';
import { count } from './format.ts';
import { Badge, Empty, Problem, Section, Table } from './ui.tsx';

export function PresenceView({ rooms }: { readonly rooms: readonly ShownPresence[] }) {
  if (rooms.length === 0) return <Empty>The app is present in no room.</Empty>;
  return rooms.map(({ room, users, members, error }) => (
    <Section
      key={room}
      title={room}
      note={`${count(users.length, 'user')}, ${count(members.length, 'device')}`}
    >
      <Problem role="status" text={error} />
      <Table columns={['Status', 'User', 'Device', 'Shows']}>
        {members.map(({ clientId, userId, status, state, me }) => (
          <tr key={clientId}>
            <td>
              <Badge tone={status === 'active' ? 'good' : 'calm'}>{status}</Badge>
            </td>
            <td>
              {userId} {me && <Badge tone="accent">this client</Badge>}
            </td>
            <td>
              <code>{clientId}</code>
            </td>
            <td>
              <code>{JSON.stringify(state)}</code>
            </td>
          </tr>
        ))}
      </Table>
      {members.length === 0 && <Empty>Nobody is known here yet.</Empty>}
    </Section>
  ));
}
