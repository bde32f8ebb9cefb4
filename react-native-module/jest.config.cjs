const [untransformed, ...others] = require('jest-expo/jest-preset').transformIgnorePatterns;

/** Packages that are ES modules only. */
const MODULES = ['jotai', 'mobx', 'immer', 'fractional-indexing'];

module.exports = {
  preset: 'jest-expo',
  testMatch: ['<rootDir>/test/**/*.test.{ts,tsx}'],
  transformIgnorePatterns: [untransformed.replace('(?!(', `(?!(${MODULES.join('|')}|`), ...others],
  setupFilesAfterEnv: ['<rootDir>/test/support/setup.ts'],
  // Real processes and real disks: generous, and only ever reached by a failure.
  testTimeout: 30_000,
  maxWorkers: 2,
};
