import { UserDataProvider, useUserData } from 'expo-syncline';
import { Text, View } from 'react-native';

import { HEARTS_FULL } from '../model.ts';
import { useReport } from '../report.ts';
import { useUser } from '../session.tsx';
import { Button, Card, Hint, Row, Title } from '../ui.tsx';

/** Counters that add up over all devices of the user, connected or not. */
export function StatsScreen() {
  return (
    <UserDataProvider userId={useUser()}>
      <Stats />
    </UserDataProvider>
  );
}

function Stats() {
  const { stats, updateUserStats, forcePull, loading, error } = useUserData();
  const { problem, run } = useReport();
  return (
    <View>
      <Title>Stats</Title>
      <Card>
        {loading && <Hint>Loading...</Hint>}
        <Text>{`XP: ${count(stats?.xp)}`}</Text>
        <Text>{`Hearts: ${count(stats?.hearts)}`}</Text>
      </Card>
      <Row>
        <Button
          label="Win 10 XP"
          onPress={() => {
            run(() => updateUserStats({ xp: 10 }));
          }}
        />
        <Button
          label="Lose a heart"
          onPress={() => {
            run(() => updateUserStats({ hearts: -1 }));
          }}
        />
        <Button
          label="Refill hearts"
          onPress={() => {
            run(() => updateUserStats({ __set: { hearts: HEARTS_FULL } }));
          }}
        />
        <Button
          label="Refresh"
          onPress={() => {
            run(forcePull);
          }}
        />
      </Row>
      <Hint>{problem ?? error}</Hint>
    </View>
  );
}

function count(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
