import type { ReactNode } from 'react';
import { ScrollView, StyleSheet, Text, View } from 'react-native';

import type { Stats, TraceEvent } from '../contract.ts';
import { useSocketConnection } from '../hooks/use-socket-connection.ts';
import { useSyncStats, useSyncTrace } from '../hooks/use-sync-trace.ts';
import { SyncProgress } from './sync-progress.tsx';

export interface SyncDebugPanelProps {
  /** How often everything is read, in milliseconds; a second when absent. */
  readonly intervalMs?: number;
}

/** The connection, the figures and the last events, newest first: a screen for developers. */
export function SyncDebugPanel({ intervalMs }: SyncDebugPanelProps): ReactNode {
  const connection = useSocketConnection();
  const stats = useSyncStats(intervalMs);
  const trace = useSyncTrace(intervalMs);
  const reason = connection.reason ? `: ${connection.reason.code}` : '';
  return (
    <ScrollView>
      <SyncProgress />
      <Text>{`${connection.state}${reason}, attempt ${String(connection.reconnectAttempts)}`}</Text>
      {stats && figures(stats).map(([name, value]) => <Text key={name}>{`${name}: ${value}`}</Text>)}
      <View style={styles.trace}>
        {trace
          .map((event, place) => (
            <Text key={`${String(event.atMs)} ${String(place)}`} style={styles.event}>
              {describe(event)}
            </Text>
          ))
          .reverse()}
      </View>
    </ScrollView>
  );
}

function figures(stats: Stats): [string, string][] {
  const ms = ({ p50, p95 }: { p50: number; p95: number }) => `${p50.toFixed(1)} / ${p95.toFixed(1)} ms`;
  const waiting = stats.queue.map(({ kind, count, oldestMs }) => {
    const age = oldestMs === null ? '' : `, oldest ${String(Math.round(oldestMs / 1000))} s`;
    return `${String(count)} ${kind}${age}`;
  });
  return [
    ['round trip (p50 / p95)', ms(stats.rttMs)],
    ['push', ms(stats.pushMs)],
    ['pull', ms(stats.pullMs)],
    ['waiting', waiting.join('; ')],
    ['confirmed / rejected / conflicts', [stats.confirmed, stats.rejected, stats.conflicts].join(' / ')],
    ['sessions', String(stats.reconnects)],
    ['bytes out / in', `${String(stats.bytesSent)} / ${String(stats.bytesReceived)}`],
    ['bytes on disk', String(stats.diskBytes)],
  ];
}

function describe({ atMs, kind, detail }: TraceEvent): string {
  return `${new Date(atMs).toISOString().slice(11, 23)} ${kind} ${detail}`;
}

const styles = StyleSheet.create({
  trace: { marginTop: 8 },
  event: { fontFamily: 'monospace', fontSize: 11 },
});
