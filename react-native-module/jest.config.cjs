const [untransformed, ...others] = require('jest-expo/jest-preset').transformIgnorePatterns;

/** Packages that are ES modules only. */
const MODULES = ['jotai', 'mobx', 'immer', 'fractional-indexing'];

module.exports = {
  preset: 'jest-expo',
  testMatch: ['<rootDir>/{test,example/test}/**/*.test.{ts,tsx}'],
  // An example that was installed has a React of its own.
  modulePathIgnorePatterns: ['<rootDir>/example/node_modules'],
  // The example names the library as apps do.
  moduleNameMapper: {
    '^expo-syncline$': '<rootDir>/src/index.ts',
    '^expo-syncline/(.*)$': '<rootDir>/src/$1.ts',
  },
  transformIgnorePatterns: [untransformed.replace('(?!(', `(?!(${MODULES.join('|')}|`), ...others],
  setupFilesAfterEnv: ['<rootDir>/test/support/setup.ts'],
  // Real processes and real disks: generous, and only ever reached by a failure.
  testTimeout: 120_000,
  maxWorkers: 2,
};
