import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');

interface Manifest {
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

/** The packages that the sources import, but for those of Node. Ready-made components are an entry of their own. */
function imported(components: boolean): string[] {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const texts = files
    .filter((file) => /\.tsx?$/.test(file) && file.startsWith('components') === components)
    .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'));
  const names = texts.flatMap((text) =>
    [...text.matchAll(/ from '([^.'][^']*)'/g)].map(([, name]) => name ?? ''),
  );
  return [...new Set(names)].filter((name) => !name.startsWith('node:'));
}

it('declares every package that it imports, as one that must be there', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
  expect(imported(false).sort()).toEqual(['expo', 'react']);
  for (const name of imported(false)) {
    expect(Object.keys(declared)).toContain(name);
    expect(manifest.peerDependenciesMeta?.[name]?.optional).not.toBe(true);
  }
});

it('needs React Native for its ready-made components only', () => {
  expect(imported(true).sort()).toEqual(['react', 'react-native']);
});
