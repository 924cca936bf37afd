import { defineConfig } from 'vitest/config'

// globalSetup stands in the root alone: with `extends` it would run once per project. rpc ends before solo begins.
export default defineConfig({
  test: {
    globalSetup: 'test/support/global-setup.ts',
    retry: 0,
    reporters: ['default', './test/support/slowest.ts'],
    projects: [
      {
        test: {
          name: 'rpc',
          include: ['test/**/*.test.ts'],
          exclude: ['test/solo/**', 'test/types/**'],
          isolate: false,
          maxWorkers: 2,
          testTimeout: 20_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'solo',
          include: ['test/solo/**/*.test.ts'],
          fileParallelism: false,
          // the full counts of test:faults take as long as they take
          testTimeout: process.env['N'] === 'full' ? 4 * 3_600_000 : 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
