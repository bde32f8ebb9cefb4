// The recipes of docs/testing.md are tests: here they run, but for those of the real core.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { blocksOf, modulesOf } from './blocks.ts';
import { REPOSITORY } from './others.ts';
import { runModule } from './run.ts';

jest.mock('expo', () => ({
  ...jest.requireActual<object>('expo'),
  requireNativeModule: () =>
    jest.requireActual<typeof import('../../src/testing/native-module.ts')>(
      '../../src/testing/native-module.ts',
    ).nativeModule,
}));

beforeAll(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
});

const modules = modulesOf(blocksOf(readFileSync(join(REPOSITORY, 'docs/testing.md'), 'utf8')));

for (const module of modules) {
  if (!module.name.endsWith('.test.tsx')) continue;
  describe(module.name, () => {
    runModule(modules, module);
  });
}
