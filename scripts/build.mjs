// gen, then tsc into dist/. Nothing to do if the inputs' hash stands.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { copyDescriptor, gen } from './gen.mjs'
import { fresh, hashOf, stamp } from './hash.mjs'

const force = process.argv.includes('--force')
gen({ force })
const inputs = hashOf(['gen/.inputs', 'server', 'tsconfig.json', 'tsconfig.build.json', 'package.json'])
if (force || !fresh('dist', inputs)) {
  rmSync('dist', { recursive: true, force: true })
  execFileSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json'], { stdio: 'inherit' })
  copyDescriptor()
  mkdirSync('dist/server', { recursive: true })
  cpSync('server', 'dist/server', {
    recursive: true,
    filter: (path) => !path.endsWith('.ts') && !path.endsWith('schema.sql') && !path.endsWith('queries.sql'),
  })
  stamp('dist', inputs)
}
