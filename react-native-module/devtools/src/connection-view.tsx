import { LatencyChart, StateStrip } from './charts.tsx';
import { bytes, clock, count, duration, ms, toneOf } from './format.ts';
import type { AppState } from './model.ts';
import { Badge, Section, Table, Tile } from './ui.tsx';

export function ConnectionView({ state }: { readonly state: AppState }) {
  const { parts, histories, heardAtMs } = state;
  const { connection, stats, progress } = parts;
  const { timeline, latency } = histories;
  return (
    <>
      <dl className="tiles">
        <Tile label="State" value={<Badge tone={toneOf(connection.state)}>{connection.state}</Badge>} />
        <Tile label="Attempts" value={connection.attempts} hint="Since the session was last open" />
        <Tile label="User" value={connection.userId ?? '–'} />
        <Tile label="Progress" value={progress.phase} />
        <Tile
          label="Rooms in sync"
          value={`${progress.roomsLive} of ${progress.roomsLive + progress.roomsToLoad}`}
        />
        {stats && (
          <>
            <Tile label="Sessions" value={stats.reconnects} hint="Opened since the client was" />
            <Tile label="Client open" value={duration(stats.uptimeMs)} />
            <Tile label="Confirmed" value={stats.confirmed} hint="Writes" />
            <Tile label="Refused" value={stats.rejected} hint="Writes" />
            <Tile label="In conflict" value={stats.conflicts} hint="Writes" />
            <Tile
              label="Time to sync"
              value={ms(stats.syncMs.p50)}
              hint="From a write to its confirmation, median"
            />
            <Tile label="Sent" value={bytes(stats.bytesSent)} />
            <Tile label="Received" value={bytes(stats.bytesReceived)} />
            <Tile label="On disk" value={bytes(stats.diskBytes)} />
          </>
        )}
      </dl>
      {connection.reason && (
        <p className="reason" role="status">
          <code>{connection.reason.code}</code> {connection.reason.message}
        </p>
      )}
      <Section title="Latency" note="percentiles over the life of the client, read every second">
        <div className="charts">
          <LatencyChart title="Round trip" figure="rtt" samples={latency} />
          <LatencyChart title="Push of writes" figure="push" samples={latency} />
        </div>
      </Section>
      <Section title="Timeline" note={count(timeline.length, 'change')}>
        <StateStrip timeline={timeline} nowMs={heardAtMs} />
        <Table columns={['Time', 'State', 'For', 'Cause', 'Reason']}>
          {timeline
            .map((entry, nth) => (
              <tr key={`${entry.atMs}-${entry.state}`}>
                <td className="time">{clock(entry.atMs)}</td>
                <td>
                  <Badge tone={toneOf(entry.state)}>{entry.state}</Badge>
                  {entry.recovered && <Badge tone="accent">continued</Badge>}
                  {entry.attempts > 0 && <small> attempt {entry.attempts}</small>}
                </td>
                <td className="number">{duration((timeline[nth + 1]?.atMs ?? heardAtMs) - entry.atMs)}</td>
                <td>{entry.cause ?? ''}</td>
                <td>
                  {entry.reason && (
                    <>
                      <code>{entry.reason.code}</code> {entry.reason.message}
                    </>
                  )}
                </td>
              </tr>
            ))
            .reverse()}
        </Table>
      </Section>
    </>
  );
}
