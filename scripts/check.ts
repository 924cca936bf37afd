// Everything that can be told without running the service. All of it runs, whatever fails.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { configurationPage } from '../server/config-page.js'
import { services } from '../server/contract/descriptors.js'
import { lintContract } from './contract-lint.js'
import { documents } from './documents.js'
import { kongView } from './kong-view.js'
import { forbiddenLicences } from './licences.js'
import { setupPage } from './setup-page.js'

/** What is wrong; '' where nothing is. */
type Check = () => string

const run =
  (program: string, ...args: string[]): Check =>
  () => {
    const { status, error } = spawnSync(`node_modules/.bin/${program}`, args, { stdio: 'inherit' })
    return status === 0 ? '' : (error?.message ?? `${program} found something`)
  }

const released = 'proto/released.binpb'
const projects = ['tsconfig.json', ...readdirSync('clients').map((name) => `clients/${name}/tsconfig.json`)].filter((path) =>
  existsSync(path),
)

const madeOf =
  (path: string, page: () => string): Check =>
  () =>
    existsSync(path) && readFileSync(path, 'utf8') === page() ? '' : 'is not what the code says: `npm run gen` writes it'

const viewFolder = 'deploy/kong/proto'
function staleView(): string {
  const view = kongView(services())
  const there = existsSync(viewFolder) ? readdirSync(viewFolder) : []
  const stale = [...view].filter(([name, text]) => !there.includes(name) || readFileSync(`${viewFolder}/${name}`, 'utf8') !== text)
  const names = [...stale.map(([name]) => name), ...there.filter((name) => !view.has(name))]
  return names.length === 0 ? '' : `${names.join(', ')}: not what the contract says; \`npm run gen\` writes them`
}

const checks: Record<string, Check> = {
  'format and lint': run('biome', 'check', '--error-on-warnings'),
  ...Object.fromEntries(projects.map((project) => [`types (${project})`, run('tsc', '-p', project, '--noEmit')])),
  'contract: lint': run('buf', 'lint'),
  'contract: format': run('buf', 'format', 'proto', '--diff', '--exit-code'),
  'contract: nothing broken since the last release': existsSync(released)
    ? run('buf', 'breaking', 'proto', '--against', released)
    : () => {
        console.log(`there is no release yet (${released}): nothing to break`)
        return ''
      },
  "contract: fits Kong's grpc-gateway": () => lintContract(services()).join('\n'),
  'deploy/kong/proto': staleView,
  'docs/configuration.md': madeOf('docs/configuration.md', configurationPage),
  'deploy/postgres-setup.sql': madeOf('deploy/postgres-setup.sql', setupPage),
  ...Object.fromEntries([...documents()].map(([name, text]) => [`docs/${name}`, madeOf(`docs/${name}`, () => text)])),
  'licences of what production needs': () => forbiddenLicences('package-lock.json').join('\n'),
}

const failed: string[] = []
for (const [name, check] of Object.entries(checks)) {
  const begun = performance.now()
  const wrong = check()
  console.log(
    `${wrong === '' ? 'ok    ' : 'FAILED'} ${name}, ${((performance.now() - begun) / 1000).toFixed(1)} s${wrong === '' ? '' : `\n${wrong}`}`,
  )
  if (wrong !== '') failed.push(name)
}
if (failed.length > 0) {
  console.error(`\n${failed.length} of ${Object.keys(checks).length} checks failed: ${failed.join('; ')}`)
  process.exitCode = 1
}
