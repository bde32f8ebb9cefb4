import { type RefObject, useLayoutEffect, useRef, useState } from 'react';

import type { LatencySample, TimelineEntry } from '../../src/devtools/protocol.ts';
import { clock, duration, ms, toneOf } from './format.ts';

const HEIGHT = 150;
const LEFT = 52;
const BOTTOM = 20;
const TOP = 8;
const TICKS = 3;

/** How wide an element is drawn. */
function useWidth(element: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const shown = element.current;
    if (!shown) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setWidth(entry.contentRect.width);
    });
    observer.observe(shown);
    return () => {
      observer.disconnect();
    };
  }, [element]);
  return width;
}

/** The next number of the kind 1, 2, 5, 10… that is no less. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 0.001)));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= value) ?? 10;
  return step * power;
}

/** The median and the 95th percentile of one figure, over time. */
export function LatencyChart({
  title,
  figure,
  samples: all,
}: {
  readonly title: string;
  readonly figure: 'rtt' | 'push';
  readonly samples: readonly LatencySample[];
}) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const [hovered, setHovered] = useState<number | null>(null);
  // Nothing is that fast: nothing was measured yet.
  const samples = all.filter((sample) => sample[figure].p95 > 0);
  const first = samples[0]?.atMs ?? 0;
  const last = samples.at(-1)?.atMs ?? 0;
  const top = roundUp(Math.max(...samples.map((sample) => sample[figure].p95), 0.1));
  const x = (atMs: number) => LEFT + ((atMs - first) / Math.max(1, last - first)) * (width - LEFT - 8);
  const y = (value: number) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const line = (which: 'p50' | 'p95') =>
    samples.map((sample) => `${x(sample.atMs).toFixed(1)},${y(sample[figure][which]).toFixed(1)}`).join(' ');
  const shown = samples[hovered ?? -1] ?? samples.at(-1);
  const nearest = (clientX: number) => {
    const left = box.current?.getBoundingClientRect().left ?? 0;
    const distance = (sample: LatencySample) => Math.abs(x(sample.atMs) - (clientX - left));
    let best = 0;
    samples.forEach((sample, nth) => {
      if (distance(sample) < distance(samples[best] ?? sample)) best = nth;
    });
    return best;
  };
  return (
    <figure className="chart">
      <figcaption>
        <strong>{title}</strong>
        {shown && (
          <span className="legend">
            <i className="p50" /> median {ms(shown[figure].p50)} <i className="p95" /> 95th{' '}
            {ms(shown[figure].p95)}
          </span>
        )}
      </figcaption>
      <div ref={box}>
        {samples.length < 2 ? (
          <p className="empty">Nothing was measured yet.</p>
        ) : (
          <svg
            width={width}
            height={HEIGHT}
            role="img"
            aria-label={`${title}: median ${ms(shown?.[figure].p50 ?? 0)}, 95th percentile ${ms(shown?.[figure].p95 ?? 0)}`}
            onPointerMove={(event) => {
              setHovered(nearest(event.clientX));
            }}
            onPointerLeave={() => {
              setHovered(null);
            }}
          >
            {Array.from({ length: TICKS + 1 }, (_, nth) => (top / TICKS) * nth).map((value) => (
              <g key={value}>
                <line className="grid" x1={LEFT} x2={width - 8} y1={y(value)} y2={y(value)} />
                <text x={LEFT - 8} y={y(value) + 4} textAnchor="end">
                  {ms(value)}
                </text>
              </g>
            ))}
            <text x={LEFT} y={HEIGHT - 4}>
              {clock(first).slice(0, 8)}
            </text>
            <text x={width - 8} y={HEIGHT - 4} textAnchor="end">
              {clock(last).slice(0, 8)}
            </text>
            <polyline className="p95" points={line('p95')} />
            <polyline className="p50" points={line('p50')} />
            {hovered !== null && shown && (
              <line className="cursor" x1={x(shown.atMs)} x2={x(shown.atMs)} y1={TOP} y2={HEIGHT - BOTTOM} />
            )}
          </svg>
        )}
      </div>
    </figure>
  );
}

/** The states of the connection as a strip, from the first one known until now. */
export function StateStrip({
  timeline,
  nowMs,
}: {
  readonly timeline: readonly TimelineEntry[];
  readonly nowMs: number;
}) {
  const first = timeline[0];
  if (!first) return null;
  const span = Math.max(1, nowMs - first.atMs);
  return (
    <div className="strip-box">
      <div className="strip" role="img" aria-label={`${timeline.length} states in ${duration(span)}`}>
        {timeline.map((entry, nth) => {
          const lastsMs = (timeline[nth + 1]?.atMs ?? nowMs) - entry.atMs;
          return (
            <span
              key={`${entry.atMs}-${entry.state}`}
              className={toneOf(entry.state)}
              style={{ flexGrow: lastsMs / span }}
              title={`${entry.state} for ${duration(lastsMs)}`}
            />
          );
        })}
      </div>
      <div className="strip-axis">
        <span>{clock(first.atMs).slice(0, 8)}</span>
        <span>{duration(span)}</span>
        <span>now</span>
      </div>
    </div>
  );
}
