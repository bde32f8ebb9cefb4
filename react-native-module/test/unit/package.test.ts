import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

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
