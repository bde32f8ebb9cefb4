import {
  useDeadLetters,
  useOfflineQueue,
  useOutcomes,
  useSocketConnection,
  useSyncClient,
  useSyncHealth,
} from 'expo-syncline';
import { SyncProgress } from 'expo-syncline/components';
import { ScrollView, Text } from 'react-native';

import { useReport } from '../report.ts';
import { Button, Card, Hint, Row, Title } from '../ui.tsx';

/** What waits, what was given up or refused, and the switch for trying it out. */
export function QueueScreen() {
  const client = useSyncClient();
  const { level } = useSyncHealth();
  const isConnected = useSocketConnection((connection) => connection.isConnected);
  const { status, processQueue, startAutoProcessing, stopAutoProcessing, clearQueue } = useOfflineQueue();
  const { deadLetters, retry, drop } = useDeadLetters();
  const { outcomes, acknowledge } = useOutcomes();
  const { problem, run } = useReport();
  // Requests need no socket: they are held back apart from it.
  const goOffline = async () => {
    await stopAutoProcessing();
    await client.disconnect();
  };
  const goOnline = async () => {
    await startAutoProcessing();
    await client.connect();
  };
  return (
    <ScrollView>
      <Title>Queue</Title>
      <Card>
        <SyncProgress />
        <Text>{`Health: ${level}`}</Text>
        <Text>{`${status.writes} writes and ${status.requests} requests wait`}</Text>
      </Card>
      <Row>
        <Button
          label={isConnected ? 'Go offline' : 'Go online'}
          onPress={() => {
            run(isConnected ? goOffline : goOnline);
          }}
        />
        <Button
          label="Try now"
          onPress={() => {
            run(processQueue);
          }}
        />
        <Button
          label="Clear"
          onPress={() => {
            run(clearQueue);
          }}
        />
      </Row>
      {deadLetters.map(({ job, error }) => (
        <Card key={`job ${job}`}>
          <Text>{`Given up: ${error.message}`}</Text>
          <Row>
            <Button
              label="Retry"
              onPress={() => {
                run(() => retry(job));
              }}
            />
            <Button
              label="Drop"
              onPress={() => {
                run(() => drop(job));
              }}
            />
          </Row>
        </Card>
      ))}
      {outcomes.map(({ clientSeq, collection, error }) => (
        <Card key={`write ${clientSeq}`}>
          <Text>{`Refused in ${collection}: ${error.message}`}</Text>
          <Button
            label="Dismiss"
            onPress={() => {
              run(() => acknowledge(clientSeq));
            }}
          />
        </Card>
      ))}
      <Hint>{problem}</Hint>
    </ScrollView>
  );
}
