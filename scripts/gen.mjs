// Makes gen/ (stubs, descriptor, the types of events) out of proto/, and whatever else is made by a program and committed. Nothing to do if the inputs' hash stands.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { fresh, hashOf, stamp } from './hash.mjs'

const inputs = hashOf([
  ...['proto', 'third_party', 'buf.yaml', 'buf.gen.yaml', 'package-lock.json'],
  ...['scripts/gen-event-types.ts', 'server/contract/event-catalogue.ts', 'server/contract/json-schema.ts'],
])

export function gen({ force = false } = {}) {
  if (!force && fresh('gen', inputs)) return
  execFileSync('node_modules/.bin/buf', ['generate'], { stdio: 'inherit' })
  // Source info stays: the comments are the reference that callers read (event catalogue, later OpenAPI).
  execFileSync('node_modules/.bin/buf', ['build', 'proto', '--as-file-descriptor-set', '-o', 'gen/descriptor.binpb'], { stdio: 'inherit' })
  execFileSync('node_modules/.bin/tsx', ['scripts/gen-event-types.ts'], { stdio: 'inherit' })
  stamp('gen', inputs)
}

/** @param {string} build the folder that a build goes into */
export function copyDescriptor(build) {
  mkdirSync(`${build}/gen`, { recursive: true })
  copyFileSync('gen/descriptor.binpb', `${build}/gen/descriptor.binpb`)
}

if (process.argv[1]?.endsWith('gen.mjs')) gen({ force: process.argv.includes('--force') })
