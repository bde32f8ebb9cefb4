module.exports = {
  preset: 'jest-expo',
  testMatch: ['<rootDir>/test/**/*.test.{ts,tsx}'],
  setupFilesAfterEnv: ['<rootDir>/test/support/setup.ts'],
  // Real processes and real disks: generous, and only ever reached by a failure.
  testTimeout: 30_000,
  maxWorkers: 2,
};
