// Builds clients/typescript into its dist/: the sources and the stubs that they import, compiled together, so that the package stands alone.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gen } from './gen.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
gen()
const home = 'clients/typescript'
// Inside the repository, so that tsc finds its node_modules.
const stage = mkdtempSync(join(home, '.stage-'))
try {
  for (const name of readdirSync(join(home, 'src'), { recursive: true })) {
    if (!name.endsWith('.ts')) continue
    mkdirSync(dirname(join(stage, name)), { recursive: true })
    writeFileSync(
      join(stage, name),
      readFileSync(join(home, 'src', name), 'utf8')
        .replaceAll("'../../../../gen/", "'../gen/")
        .replaceAll("'../../../gen/", "'./gen/"),
    )
  }
  cpSync('gen', join(stage, 'gen'), { recursive: true, filter: (path) => !/\.(binpb|inputs)$/.test(path) })
  const tsconfig = {
    extends: '../../../tsconfig.json',
    compilerOptions: { noEmit: false, declaration: true, rootDir: '.', outDir: 'dist' },
    // tsc emits what is reached from here: other stubs stay out.
    files: ['index.ts', 'events/index.ts'],
    include: [],
  }
  writeFileSync(join(stage, 'tsconfig.json'), JSON.stringify(tsconfig))
  execFileSync('node_modules/.bin/tsc', ['-p', join(stage, 'tsconfig.json')], { stdio: 'inherit' })
  rmSync(join(home, 'dist'), { recursive: true, force: true })
  cpSync(join(stage, 'dist'), join(home, 'dist'), { recursive: true })
} finally {
  rmSync(stage, { recursive: true, force: true })
}
