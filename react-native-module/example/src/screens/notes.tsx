import { useCollection, useDocument } from 'expo-syncline';
import { useState } from 'react';
import { FlatList, View } from 'react-native';

import { NOTES } from '../model.ts';
import { useReport } from '../report.ts';
import { Button, Card, Composer, Field, Hint, Row, Title } from '../ui.tsx';

const BY_TITLE = [{ path: 'title' }] as const;

/** Documents that several people edit. Where two edit the same field, the later one decides: see the conflicts. */
export function NotesScreen() {
  const [openId, setOpenId] = useState<string | null>(null);
  if (openId === null) return <NoteList onOpen={setOpenId} />;
  return (
    <NoteEditor
      key={openId}
      id={openId}
      onClose={() => {
        setOpenId(null);
      }}
    />
  );
}

function NoteList({ onOpen }: { readonly onOpen: (id: string) => void }) {
  const { problem, run } = useReport();
  const notes = useCollection({ room: NOTES, collection: 'notes', orderBy: BY_TITLE });
  const add = (title: string) => {
    run(() => notes.insert({ title, body: '' }));
  };
  return (
    <FlatList
      data={notes.data}
      keyExtractor={({ id }) => id}
      renderItem={({ item }) => (
        <Card>
          <Row>
            <Button
              label={`Open ${item.title}`}
              onPress={() => {
                onOpen(item.id);
              }}
            />
            <Button
              label={`Delete ${item.title}`}
              onPress={() => {
                run(() => notes.remove(item.id));
              }}
            />
          </Row>
          <Hint>{item.body}</Hint>
        </Card>
      )}
      ListHeaderComponent={
        <>
          <Title>Notes</Title>
          <Composer label="Title" button="Add" onSubmit={add} />
          {problem !== null && <Hint>{problem}</Hint>}
        </>
      }
    />
  );
}

function NoteEditor({ id, onClose }: { readonly id: string; readonly onClose: () => void }) {
  const { problem, run } = useReport();
  const note = useDocument({ room: NOTES, collection: 'notes', id });
  const [draft, setDraft] = useState<string | null>(null);
  const save = () => {
    if (draft !== null) run(() => note.update({ body: draft }));
    setDraft(null);
  };
  if (note.data === null) return <Hint>{note.status === 'loading' ? 'Loading...' : 'It was deleted'}</Hint>;
  return (
    <View>
      <Title>{note.data.title}</Title>
      <Field label="Body" multiline value={draft ?? note.data.body} onChangeText={setDraft} />
      <Row>
        <Button label="Save" disabled={draft === null} onPress={save} />
        <Button label="Back" onPress={onClose} />
      </Row>
      <Hint>{problem ?? (note.isPending ? 'Not sent yet' : 'Saved')}</Hint>
    </View>
  );
}
