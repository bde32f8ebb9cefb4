import type { ReactNode } from 'react';
import { ActivityIndicator, StyleSheet, Text, View } from 'react-native';

import type { Progress } from '../contract.ts';
import { useSocketConnection } from '../hooks/use-socket-connection.ts';
import { useSyncProgress } from '../hooks/use-sync-progress.ts';

export interface SyncProgressProps {
  /** What is said of a phase; plain English when absent. */
  readonly describe?: (progress: Progress) => string;
  /** Whether a bar shows how much is done; true when absent. */
  readonly showDetails?: boolean;
}

/** One line on how far the synchronization has come, with a bar while something travels. */
export function SyncProgress({
  describe = describeProgress,
  showDetails = true,
}: SyncProgressProps): ReactNode {
  const progress = useSyncProgress();
  const reason = useSocketConnection((connection) => connection.reason);
  const done = progress.uploaded + progress.roomsLive;
  const all = done + progress.toUpload + progress.roomsToLoad;
  const isBusy = ['preparing', 'uploading', 'downloading'].includes(progress.phase);
  return (
    <View accessibilityRole="progressbar" accessibilityValue={{ min: 0, max: all, now: done }}>
      <View style={styles.line}>
        {isBusy && <ActivityIndicator size="small" />}
        <Text>{describe(progress)}</Text>
      </View>
      {progress.phase === 'error' && reason !== null && <Text style={styles.reason}>{reason.message}</Text>}
      {showDetails && isBusy && all > 0 && (
        <View style={styles.bar}>
          <View style={[styles.done, { flex: done }]} />
          <View style={{ flex: all - done }} />
        </View>
      )}
    </View>
  );
}

function describeProgress({ phase, toUpload, downloaded, roomsToLoad }: Progress): string {
  switch (phase) {
    case 'idle':
      return 'Not connected';
    case 'preparing':
      return 'Connecting';
    case 'uploading':
      return `Sending ${String(toUpload)}`;
    case 'downloading':
      return `Receiving: ${String(downloaded)} documents, ${String(roomsToLoad)} to load`;
    case 'complete':
      return 'Up to date';
    case 'error':
      return toUpload > 0 ? `Offline, ${String(toUpload)} to send` : 'Offline';
  }
}

const styles = StyleSheet.create({
  line: { flexDirection: 'row', alignItems: 'center', gap: 8 },
  bar: { flexDirection: 'row', height: 4, backgroundColor: '#ddd' },
  done: { backgroundColor: '#2a7' },
  reason: { color: '#a33' },
});
