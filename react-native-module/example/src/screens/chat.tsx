import { useCollection, usePresence, useTyping } from 'expo-syncline';
import { FlatList, Text } from 'react-native';

import { LOBBY } from '../model.ts';
import { useReport } from '../report.ts';
import { useUser } from '../session.tsx';
import { Card, Composer, Hint, Title } from '../ui.tsx';

const NEWEST_FIRST = [{ path: 'at', direction: 'desc' }] as const;
const MESSAGES_SHOWN = 50;

/** Messages that also those read and write who are offline; who is there, and who types. */
export function ChatScreen() {
  const user = useUser();
  const { problem, run } = useReport();
  const messages = useCollection({
    room: LOBBY,
    collection: 'messages',
    orderBy: NEWEST_FIRST,
    limit: MESSAGES_SHOWN,
  });
  const { users } = usePresence(LOBBY, { state: { name: user } });
  const typing = useTyping(LOBBY);

  const send = (text: string) => {
    run(() => messages.insert({ from: user, text, at: Date.now() }));
    typing.stop();
  };

  return (
    <FlatList
      inverted
      data={messages.data}
      keyExtractor={({ id }) => id}
      renderItem={({ item }) => (
        <Card>
          <Text>{`${item.from}: ${item.text}`}</Text>
          {messages.pendingIds.has(item.id) && <Hint>sending</Hint>}
        </Card>
      )}
      // Inverted: the header is at the bottom.
      ListHeaderComponent={
        <>
          <Hint>{typing.users.map(({ userId }) => `${userId} is typing`).join(', ')}</Hint>
          <Composer label="Message" button="Send" onSubmit={send} onType={typing.type} />
          {problem !== null && <Hint>{problem}</Hint>}
        </>
      }
      ListFooterComponent={
        <>
          <Title>Chat</Title>
          <Hint>{`Here: ${users.map(({ userId, status }) => `${userId} (${status})`).join(', ')}`}</Hint>
        </>
      }
    />
  );
}
