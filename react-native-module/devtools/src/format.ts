import type { ConnectionState } from '../../src/contract.ts';
import type { CoreQuery } from '../../src/watches.ts';
import type { Tone } from './ui.tsx';

const UNITS = ['B', 'KiB', 'MiB', 'GiB'];

export function bytes(size: number): string {
  let value = size;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

export function ms(value: number): string {
  if (value >= 1000) return duration(value);
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ms`;
}

export function duration(value: number): string {
  const seconds = value / 1000;
  if (seconds < 1) return `${Math.max(0, Math.round(value))} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The time of day, with milliseconds. */
export function clock(atMs: number): string {
  const date = new Date(atMs);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${day}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

const TONES: Readonly<Record<ConnectionState, Tone>> = {
  open: 'good',
  connecting: 'busy',
  backoff: 'busy',
  offline: 'calm',
  idle: 'calm',
  closed: 'calm',
  suspended: 'accent',
  unauthorized: 'bad',
};

export function toneOf(state: ConnectionState): Tone {
  return TONES[state];
}

/** What a query selects, in a line. */
export function describeQuery({ id, filter, orderBy, limit, after }: CoreQuery): string {
  const parts = [
    id === undefined ? null : `id ${id}`,
    filter === undefined ? null : `where ${JSON.stringify(filter)}`,
    orderBy?.map(({ path, direction }) => (direction === 'desc' ? `${path} ↓` : `${path} ↑`)).join(', '),
    limit === undefined ? null : `first ${limit}`,
    after === undefined ? null : `after ${after.id}`,
  ];
  return parts.filter(Boolean).join(' · ') || 'all documents';
}
