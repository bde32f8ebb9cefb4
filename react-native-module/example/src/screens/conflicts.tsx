import { type ParkedWrite, type Resolution, useConflicts } from 'expo-syncline';
import { FlatList, Text } from 'react-native';

import { useReport } from '../report.ts';
import { Button, Card, Hint, Row, Title } from '../ui.tsx';

/** Edits of the same text by two people: whoever came later decides. */
export function ConflictsScreen() {
  const { conflicts, resolve } = useConflicts();
  const { problem, run } = useReport();
  return (
    <FlatList
      data={conflicts}
      keyExtractor={({ clientSeq }) => String(clientSeq)}
      renderItem={({ item }) => (
        <ConflictCard
          conflict={item}
          onDecide={(resolution) => {
            run(() => resolve(item.clientSeq, resolution));
          }}
        />
      )}
      ListHeaderComponent={<Title>Conflicts</Title>}
      ListEmptyComponent={<Hint>Nothing to decide</Hint>}
      ListFooterComponent={<Hint>{problem}</Hint>}
    />
  );
}

interface ConflictCardProps {
  readonly conflict: ParkedWrite;
  readonly onDecide: (resolution: Resolution) => void;
}

function ConflictCard({ conflict, onDecide }: ConflictCardProps) {
  const { server, fields } = conflict;
  const mine = bodyOf(conflict);
  const theirs = server === null ? null : text(server.body);
  return (
    <Card>
      <Text>{`${conflict.kind}: ${fields.join(', ')}`}</Text>
      <Text>{`Mine: ${mine ?? '(deleted)'}`}</Text>
      <Text>{`Theirs: ${theirs ?? '(deleted)'}`}</Text>
      <Row>
        <Button
          label="Keep mine"
          onPress={() => {
            onDecide('local');
          }}
        />
        <Button
          label="Take theirs"
          onPress={() => {
            onDecide('server');
          }}
        />
        {theirs !== null && mine !== null && (
          <Button
            label="Keep both"
            onPress={() => {
              onDecide({ merged: { ...server, body: `${theirs}\n${mine}` } });
            }}
          />
        )}
      </Row>
    </Card>
  );
}

/** What this device wrote into the body; null when it deleted the note. */
function bodyOf({ local }: ParkedWrite): string | null {
  if (typeof local !== 'object') return null;
  if ('create' in local) return text(local.create.body);
  const op = local.update.body;
  return text(typeof op === 'object' && 'set' in op ? op.set : undefined);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
