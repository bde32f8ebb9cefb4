import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');

interface Manifest {
  exports?: Record<string, unknown>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

/** What each entry of the package is made of, where that is more than the rest. */
const ENTRIES: Record<string, { files: RegExp; packages: string[] }> = {
  components: { files: /^components/, packages: ['react', 'react-native'] },
  'tanstack-query': { files: /^tanstack-query/, packages: ['@tanstack/react-query'] },
  'tanstack-db': { files: /^tanstack-db/, packages: ['@tanstack/db'] },
  redux: { files: /^redux/, packages: ['@reduxjs/toolkit'] },
  zustand: { files: /^zustand/, packages: ['zustand'] },
  mobx: { files: /^mobx/, packages: ['mobx'] },
  testing: { files: /^testing/, packages: [] },
  jotai: { files: /^jotai/, packages: ['jotai'] },
};

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;

/** The packages that these sources import, but for those of Node. */
function imported(isOne: (file: string) => boolean): string[] {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const texts = files
    .filter((file) => /\.tsx?$/.test(file) && isOne(file))
    .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'));
  const names = texts.flatMap((text) =>
    [...text.matchAll(/ from '([^.'][^']*)'/g)].map(([, name]) => name ?? ''),
  );
  // A path within a package is that package.
  const packages = names.map((name) => (/^(@[^/]+\/)?[^/]+/.exec(name) ?? [name])[0]);
  return [...new Set(packages)].filter((name) => !name.startsWith('node:')).sort();
}

it('declares every package that it imports, as one that must be there', () => {
  const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
  const always = imported((file) => !Object.values(ENTRIES).some(({ files }) => files.test(file)));
  expect(always).toEqual(['expo', 'react']);
  for (const name of always) {
    expect(Object.keys(declared)).toContain(name);
    expect(manifest.peerDependenciesMeta?.[name]?.optional).not.toBe(true);
  }
});

it.each(Object.entries(ENTRIES))(
  'needs the packages of %s for that entry only',
  (entry, { files, packages }) => {
    expect(imported((file) => files.test(file))).toEqual(packages);
    expect(Object.keys(manifest.exports ?? {})).toContain(`./${entry}`);
    for (const name of packages.filter((name) => name !== 'react')) {
      expect(manifest.peerDependenciesMeta?.[name]?.optional).toBe(true);
      expect(Object.keys(manifest.peerDependencies ?? {})).toContain(name);
    }
  },
);

/** All files that a source file leads to, types included. */
function reached(file: string, seen = new Set<string>()): ReadonlySet<string> {
  const path = join(ROOT, 'src', file);
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const [, other] of readFileSync(path, 'utf8').matchAll(/ from '(\.[^']*)'/g)) {
    reached(relative(join(ROOT, 'src'), resolve(dirname(path), other ?? '')), seen);
  }
  return seen;
}

it('keeps what is for tests out of every other entry', () => {
  const entries = Object.keys(manifest.exports ?? {}).map((entry) => entry.replace(/^\.\/?/, '') || 'index');
  const sources = entries.filter((entry) => !/\.js(on)?$/.test(entry) && entry !== 'testing');
  expect(sources).toContain('index');
  for (const entry of sources) {
    const name = ['ts', 'tsx']
      .map((kind) => `${entry}.${kind}`)
      .find((file) => existsSync(join(ROOT, 'src', file)));
    const files = [...reached(name ?? entry)].map((file) => relative(join(ROOT, 'src'), file));
    expect(files.filter((file) => file.startsWith('testing'))).toEqual([]);
  }
  expect(reached('testing.ts').size).toBeGreaterThan(20);
});
