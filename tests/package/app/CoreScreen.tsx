import { SynclineProvider, useCollection } from 'expo-syncline/core';
import { Text } from 'react-native';

function Titles() {
  const { data, insert } = useCollection<{ title: string }>({ room: 'list:9', collection: 'tasks' });
  return (
    <Text onPress={() => void insert({ title: 'Milk' })}>
      {data.map(({ title }) => title).join() || 'Add'}
    </Text>
  );
}

export function CoreScreen() {
  return (
    <SynclineProvider options={{ url: 'http://127.0.0.1:1', name: 'core', autoConnect: false }}>
      <Titles />
    </SynclineProvider>
  );
}
