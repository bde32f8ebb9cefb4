import {
  type SyncClient,
  getBackgroundSyncStatus,
  increment,
  registerBackgroundSync,
  useCollection,
  useOfflineQueueStatus,
  useSocketConnection,
} from 'expo-syncline';
import { ConnectionBanner } from 'expo-syncline/components';
import { FlatList, Pressable, Text, View } from 'react-native';

export interface Task {
  title: string;
  votes: number;
}

export function TasksScreen({ room }: { room: string }) {
  const { data, insert, update } = useCollection<Task>({ room, collection: 'tasks' });
  const isConnected = useSocketConnection((connection) => connection.isConnected);
  const waiting = useOfflineQueueStatus(({ count }) => count);
  return (
    <View>
      <ConnectionBanner />
      <Text>{`${isConnected ? 'live' : 'offline'}, ${waiting} waiting`}</Text>
      <Pressable onPress={() => void insert({ title: 'Buy milk', votes: 0 })}>
        <Text>Add</Text>
      </Pressable>
      <FlatList
        data={data}
        keyExtractor={({ id }) => id}
        renderItem={({ item }) => (
          <Pressable onPress={() => void update(item.id, { votes: increment(1) })}>
            <Text>{`${item.title}: ${item.votes}`}</Text>
          </Pressable>
        )}
      />
    </View>
  );
}

export async function setUpBackground(client: SyncClient): Promise<number> {
  await registerBackgroundSync(client, { minimumInterval: 15 });
  return getBackgroundSyncStatus(client);
}

// What is wrong must not compile.
export function Wrong() {
  // @ts-expect-error A field that a task does not have.
  useCollection<Task>({ room: 'list:9', collection: 'tasks', filter: { eq: ['priority', 1] } });
  // @ts-expect-error A collection is in a room.
  useCollection<Task>({ collection: 'tasks' });
  return null;
}
