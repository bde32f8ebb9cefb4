import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import * as components from '../../src/components.ts';
import * as everything from '../../src/index.ts';
import { REPOSITORY } from './others.ts';

function read(file: string): string {
  return readFileSync(join(REPOSITORY, file), 'utf8');
}

const contract = read('react-native-module/src/contract.ts');

/** What a type of the contract that is one of some words may be. */
function words(type: string): string[] {
  const [, union = ''] = new RegExp(`export type ${type} = ([^;]+);`).exec(contract) ?? [];
  return [...union.matchAll(/"(\w+)"/g)].map(([, word = '']) => word);
}

/** The rows of a page's tables that begin with code: the words in the first cell, and the other cells. */
function rows(page: string): { names: string[]; cells: string[] }[] {
  return [...read(page).matchAll(/^\| (`.+) \|$/gm)].map(([, row = '']) => {
    const [first = '', ...cells] = row.split(/(?<!\\) \| /);
    return { names: [...first.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name), cells };
  });
}

/** The rows below a heading. */
function rowsBelow(page: string, header: string): string[] {
  const [, table = ''] = read(page).split(`| ${header} |`);
  const [below = ''] = table.split('\n\n');
  const cells = [...below.matchAll(/^\| (`.+?) \|/gm)].map(([, cell = '']) => cell);
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name));
}

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

it('tells of every error code, and what helps, as the core has it', () => {
  const source = read('core/src/error.rs');
  const names = new Map(
    [...source.matchAll(/Self::(\w+) => "(\w+)"/g)].map(([, variant, name]) => [variant, name]),
  );
  const [, retry = ''] = /fn retry\(self\) -> Retry \{([\s\S]*?)\n {4}\}/.exec(source) ?? [];
  const inCore = [...retry.matchAll(/((?:Self::\w+[\s|]*)+)=> Retry::(\w+)/g)].flatMap(
    ([, variants = '', helps = '']) =>
      [...variants.matchAll(/Self::(\w+)/g)].map(([, variant]) => [
        names.get(variant),
        snakeCase(helps).slice(1),
      ]),
  );
  const codes = words('Code');
  const told = rows('docs/errors.md')
    .filter(({ names: [name = ''] }) => codes.includes(name))
    .map(({ names: [name], cells: [helps = ''] }) => [name, helps.replaceAll('`', '')]);
  expect(codes.length).toBeGreaterThan(20);
  expect(told.map(([code]) => code).sort()).toEqual([...codes].sort());
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(inCore));
});

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  KiB: 1 << 10,
  MiB: 1 << 20,
};

/** A default as the page tells it: `15 min`, `64 MiB`, `1,000`, a word. */
function toldValue(cell: string): number | string {
  const [, figure = '', unit] = /^([\d,]+)(?: (\w+))?$/.exec(cell) ?? [];
  if (!figure) return cell.replaceAll('`', '');
  return Number(figure.replaceAll(',', '')) * (unit === undefined ? 1 : (UNITS[unit] ?? NaN));
}

/** A default as the core's source has it: `15 * 60 * 1000`, `64 << 20`, `"room:join".to_owned()`. */
function sourceValue(text: string): number | string {
  const [, quoted] = /^"(.*)"/.exec(text) ?? [];
  if (quoted !== undefined) return quoted;
  if (text === 'Vec::new()') return 'none';
  const [, variant] = /::(\w+)$/.exec(text) ?? [];
  if (variant !== undefined) return variant.toLowerCase();
  if (!/^\d/.test(text)) return text;
  const [value = '', shift = '0'] = text.replaceAll('_', '').split(' << ');
  return value.split(' * ').reduce((product, factor) => product * Number(factor), 1) * 2 ** Number(shift);
}

it('tells of every setting, with its default', () => {
  const [, body = ''] =
    /impl Default for Settings[\s\S]*?Self \{([\s\S]*?)\n {8}\}/.exec(read('core/src/config.rs')) ?? [];
  const defaults = [...body.matchAll(/^ +(\w+): (.+),$/gm)].map(([, name = '', value = '']) => [
    name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    sourceValue(value),
  ]);
  const [, settings = ''] = read('docs/settings.md').split('## Settings');
  const told = [...settings.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map(([, name, value = '']) => [
    name,
    toldValue(value),
  ]);
  expect(defaults.length).toBeGreaterThan(60);
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(defaults));
});

it('tells of every option', () => {
  const [, checks = ''] =
    /const CHECKS[^{]*\{([\s\S]*?)\n\};/.exec(read('react-native-module/src/options.ts')) ?? [];
  const options = [...checks.matchAll(/^ {2}(\w+): \[/gm)].map(([, name]) => name);
  const [page = ''] = read('docs/settings.md').split('## Settings');
  const told = [...page.matchAll(/^\| (`.+?) \|/gm)].flatMap(([, names = '']) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  expect(options.length).toBeGreaterThan(20);
  expect(told.sort()).toEqual(options.sort());
});

it.each([
  ['Category', 'docs/queue.md', 'Category | When | What happens'],
  ['ConnectionState', 'docs/events.md', '`state` | Means'],
  ['DisconnectCause', 'docs/events.md', '`cause` | The connection ended because'],
  ['DeadReason', 'docs/queue.md', '`reason` | Means'],
  ['ConflictStrategy', 'docs/conflicts.md', 'Strategy | The server has a write that this one had not seen'],
])('tells of every %s', (type, page, header) => {
  expect(words(type).length).toBeGreaterThan(3);
  expect(rowsBelow(page, header).sort()).toEqual(words(type).sort());
});

it('tells of every option of the config plugin', () => {
  const [, options = ''] =
    /interface PluginOptions \{([\s\S]*?)\n\}/.exec(read('react-native-module/plugin/src/options.ts')) ?? [];
  const names = [...options.matchAll(/readonly (\w+)\?:/g)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(2);
  expect(rowsBelow('docs/background.md', 'Option | Default | What `expo prebuild` writes').sort()).toEqual(
    names.sort(),
  );
});

it('names every hook and component', () => {
  const names = Object.keys({ ...everything, ...components }).filter((name) =>
    /^use[A-Z]|Provider$/.test(name),
  );
  const page = read('docs/hooks.md');
  expect(names.length).toBeGreaterThan(25);
  expect([...names, ...Object.keys(components)].filter((name) => !page.includes(name))).toEqual([]);
});

it('names every entry of the package', () => {
  const manifest = JSON.parse(read('react-native-module/package.json')) as {
    name: string;
    exports: Record<string, unknown>;
  };
  const pages = readdirSync(join(REPOSITORY, 'docs')).filter((file) => file.endsWith('.md'));
  const text = pages.map((page) => read(join('docs', page))).join('\n');
  const missing = Object.keys(manifest.exports)
    .filter((entry) => entry !== '.' && !entry.includes('.', 1))
    .map((entry) => entry.replace('.', manifest.name))
    .filter((entry) => !text.includes(entry));
  expect(missing).toEqual([]);
});
