import { type Host, useConflicts, useOfflineQueueStatus, useSyncClient } from 'expo-syncline';
import { ConnectionBanner } from 'expo-syncline/components';
import { useSynclineDevTools } from 'expo-syncline/devtools';
import { type ComponentType, useState } from 'react';
import { Pressable, StatusBar, StyleSheet, Text, View } from 'react-native';

import { ChatScreen } from './screens/chat.tsx';
import { ConflictsScreen } from './screens/conflicts.tsx';
import { FeedScreen } from './screens/feed.tsx';
import { NotesScreen } from './screens/notes.tsx';
import { QueueScreen } from './screens/queue.tsx';
import { StatsScreen } from './screens/stats.tsx';
import { Session } from './session.tsx';
import { Button, Field, Hint, Title } from './ui.tsx';

const SCREENS = {
  Feed: FeedScreen,
  Chat: ChatScreen,
  Stats: StatsScreen,
  Notes: NotesScreen,
  Conflicts: ConflictsScreen,
  Queue: QueueScreen,
} satisfies Record<string, ComponentType>;

type ScreenName = keyof typeof SCREENS;

export interface AppProps {
  /** Where the backend is; what the environment says when absent. */
  readonly url?: string;
  /** Where the core runs; in the app's native module when absent. */
  readonly host?: Host;
}

export function App(props: AppProps) {
  const [user, setUser] = useState<string | null>(null);
  return (
    <View style={styles.app}>
      <StatusBar />
      {user === null ? (
        <SignIn onSignIn={setUser} />
      ) : (
        <Session user={user} {...props}>
          <Screens />
        </Session>
      )}
    </View>
  );
}

const NAME_PATTERN = /^[A-Za-z0-9-]{1,32}$/;

function SignIn({ onSignIn }: { readonly onSignIn: (user: string) => void }) {
  const [name, setName] = useState('');
  return (
    <View style={styles.screen}>
      <Title>Who are you?</Title>
      <Field label="Name" value={name} onChangeText={setName} />
      <Button
        label="Sign in"
        disabled={!NAME_PATTERN.test(name)}
        onPress={() => {
          onSignIn(name);
        }}
      />
      <Hint>Letters, digits and dashes</Hint>
    </View>
  );
}

function Screens() {
  useSynclineDevTools(useSyncClient());
  const [name, setName] = useState<ScreenName>('Feed');
  const Screen = SCREENS[name];
  return (
    <>
      <ConnectionBanner />
      <View style={styles.screen}>
        <Screen />
      </View>
      <View accessibilityRole="tablist" style={styles.tabs}>
        {(Object.keys(SCREENS) as ScreenName[]).map((tab) => (
          <Tab
            key={tab}
            name={tab}
            isSelected={tab === name}
            onPress={() => {
              setName(tab);
            }}
          />
        ))}
      </View>
    </>
  );
}

interface TabProps {
  readonly name: ScreenName;
  readonly isSelected: boolean;
  readonly onPress: () => void;
}

function Tab({ name, isSelected, onPress }: TabProps) {
  const waiting = useOfflineQueueStatus(({ count, deadLetters }) => count + deadLetters);
  const conflicts = useConflicts((parked) => parked.length);
  const badge = { Queue: waiting, Conflicts: conflicts }[name as string] ?? 0;
  return (
    <Pressable
      accessibilityRole="tab"
      accessibilityLabel={name}
      accessibilityState={{ selected: isSelected }}
      style={styles.tab}
      onPress={onPress}
    >
      <Text style={isSelected && styles.selected}>{badge > 0 ? `${name} ${badge}` : name}</Text>
    </Pressable>
  );
}

const styles = StyleSheet.create({
  app: { backgroundColor: '#f2f3f5', flex: 1, paddingTop: 48 },
  screen: { flex: 1, gap: 8, padding: 12 },
  tabs: { backgroundColor: '#fff', flexDirection: 'row', justifyContent: 'space-around', paddingBottom: 24 },
  tab: { padding: 12 },
  selected: { fontWeight: '700' },
});
