// gen, then tsc into dist/. Nothing to do if the inputs' hash stands; a build that fails leaves the last one in place.
import { execFileSync } from 'node:child_process'
import { cpSync, renameSync, rmSync } from 'node:fs'
import { copyDescriptor, gen } from './gen.mjs'
import { fresh, hashOf, stamp } from './hash.mjs'

const force = process.argv.includes('--force')
gen({ force })
const inputs = hashOf(['gen/.inputs', 'server', 'deploy/kong', 'scripts', 'tsconfig.json', 'tsconfig.build.json', 'package.json'])
if (force || !fresh('dist', inputs)) {
  const draft = `dist.${process.pid}`
  try {
    execFileSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', draft], { stdio: 'inherit' })
    copyDescriptor(draft)
    const needed = (path) => !path.endsWith('.ts') && !/(schema|queries)\.sql$/.test(path)
    cpSync('server', `${draft}/server`, { recursive: true, filter: needed })
    cpSync('deploy/kong', `${draft}/deploy/kong`, { recursive: true, filter: (path) => !/\.ya?ml$/.test(path) })
    stamp(draft, inputs)
    rmSync('dist', { recursive: true, force: true })
    renameSync(draft, 'dist')
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}
