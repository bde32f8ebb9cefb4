const { transform } = require('jest-expo/jest-preset');

const SOURCES = '\\.[jt]sx?$';
const [babel, options] = transform[SOURCES];
const plugins = [...(options.plugins ?? []), require.resolve('./devtools/test/import-as-require.cjs')];

/** The panel in a browser: `npm run build:devtools` first. */
module.exports = {
  ...require('./jest.config.cjs'),
  testMatch: ['<rootDir>/devtools/test/**/*.test.tsx'],
  transform: { ...transform, [SOURCES]: [babel, { ...options, plugins }] },
  // A browser takes its time.
  testTimeout: 60_000,
};
