import { useInfiniteCollection, useOfflineMutation } from 'expo-syncline';
import { memo, useCallback } from 'react';
import { FlatList, Text } from 'react-native';

import { type Activity, FEED } from '../model.ts';
import { useReport } from '../report.ts';
import { useUser } from '../session.tsx';
import { Button, Card, Composer, Hint, Row, Title } from '../ui.tsx';

const PAGE_SIZE = 8;
const NEWEST_FIRST = [{ path: 'at', direction: 'desc' }] as const;

/** What everybody did, page by page. A like is a request of the app's own API that waits for the network. */
export function FeedScreen() {
  const user = useUser();
  const { problem, run } = useReport();
  const feed = useInfiniteCollection({
    room: FEED,
    collection: 'activities',
    orderBy: NEWEST_FIRST,
    pageSize: PAGE_SIZE,
  });
  const likes = useOfflineMutation<{ id: string }>({
    endpoint: ({ id }) => `/api/activities/${id}/likes`,
    scope: 'likes',
  });
  const waiting = new Set(likes.jobs.map(({ variables }) => variables.id));

  const { mutate } = likes;
  const like = useCallback(
    (id: string) => {
      mutate({ id });
    },
    [mutate],
  );
  const post = (text: string) => {
    run(() => feed.insert({ author: user, text, at: Date.now(), likes: 0 }));
  };

  return (
    <FlatList
      data={feed.data}
      keyExtractor={({ id }) => id}
      renderItem={({ item }) => (
        <ActivityRow
          id={item.id}
          activity={item}
          isPending={feed.pendingIds.has(item.id)}
          isLiking={waiting.has(item.id)}
          onLike={like}
        />
      )}
      onEndReached={feed.loadMore}
      ListHeaderComponent={
        <>
          <Title>Feed</Title>
          <Composer label="What did you do?" button="Post" onSubmit={post} />
          {problem !== null && <Hint>{problem}</Hint>}
        </>
      }
      ListFooterComponent={
        <>
          {feed.status === 'loading' && <Hint>Loading...</Hint>}
          {feed.error && <Hint>{feed.error.message}</Hint>}
          {feed.hasMore && <Button label="Older" disabled={feed.isLoadingMore} onPress={feed.loadMore} />}
        </>
      }
    />
  );
}

interface ActivityRowProps {
  readonly id: string;
  readonly activity: Activity;
  readonly isPending: boolean;
  readonly isLiking: boolean;
  readonly onLike: (id: string) => void;
}

/** Renders when its own activity changes, and not when another one does. */
const ActivityRow = memo(function ActivityRow({
  id,
  activity,
  isPending,
  isLiking,
  onLike,
}: ActivityRowProps) {
  const { author, text, likes } = activity;
  return (
    <Card>
      <Text>{`${author}: ${text}`}</Text>
      <Row>
        <Button
          label={`Like ${text}`}
          disabled={isLiking}
          onPress={() => {
            onLike(id);
          }}
        />
        <Hint>{`${likes} likes${isLiking ? ', yours waits' : ''}${isPending ? ', not sent yet' : ''}`}</Hint>
      </Row>
    </Card>
  );
});
