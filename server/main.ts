import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { ConfigError, readConfig } from './config.js'
import { SetupMissing } from './db/logins.js'
import { migrateAs } from './db/migrate.command.js'
import { isAbsorbed } from './db/rejections.js'
import { withEmbeddedDatabase } from './dev/embedded.js'
import { renderKong } from './edge/kong-render.command.js'
import { PemError, readPems } from './keys/pem-files.js'
import { serve } from './serve.command.js'
import { recoverPlatformKey } from './services/platform-accounts/recover-platform-key.command.js'
import { createLog } from './telemetry/log.js'

/** A drain that takes longer is cut; supervisors kill after 30 s. */
const stopWithinMs = 25_000

const usage = `node dist/server/main.js [command]

  serve                 serves until SIGTERM; without a command, too
  migrate               brings the database and all tenants' schemas to this version
  kong render <values>  prints Kong's declarative configuration; deploy/README.md
  recover-platform-key  makes another key for the platform, and prints it
  help                  prints this

What the environment says to each: docs/configuration.md
`

const print = (text: string) => void process.stdout.write(text)
const complain = (text: string) => void process.stderr.write(`${text}\n`)

function misused(command: string): void {
  complain(`customer-management: there is no command ${command.trim()}\n\n${usage.trimEnd()}`)
  process.exitCode = 64
}

async function main(command: string, ...rest: readonly string[]): Promise<void> {
  switch (command) {
    case 'serve':
      return await runServer()
    case 'migrate': {
      const { database } = readConfig('migrate')
      const { url, migratorUrl, relayUrl, retentionUrl, tls } = database
      const urls = { app: url!, migrator: migratorUrl!, relay: relayUrl!, retention: retentionUrl! }
      await migrateAs(urls, tls && readPems(tls), complain)
      return complain('the database is up to date')
    }
    case 'recover-platform-key': {
      const { database, dataDir } = readConfig('recover-platform-key')
      const ssl = database.tls && readPems(database.tls)
      const recover = (url: string) => recoverPlatformKey({ url, ...(ssl ? { ssl } : {}) }, whoAsks())
      return print(`${await (database.url ? recover(database.url) : withEmbeddedDatabase(dataDir, ({ app }) => recover(app)))}\n`)
    }
    case 'kong': {
      const [verb, valuesFile] = rest
      if (verb !== 'render' || valuesFile === undefined) return misused(`kong ${rest.join(' ')}`)
      return print(renderKong(readFileSync(valuesFile, 'utf8'), readConfig('kong render').gateways.secrets[0]!))
    }
    case 'help':
    case '--help':
    case '-h':
      return print(usage)
    default:
      misused(command)
  }
}

async function runServer(): Promise<void> {
  const config = readConfig('serve')
  const log = createLog(config.logLevel)
  const { started, stop } = serve(config, log, print)
  let exiting = false
  const end = (code: number) => {
    if (exiting) return
    exiting = true
    process.exitCode = code
    setTimeout(() => process.exit(1), stopWithinMs).unref()
    stop().then(
      () => process.exit(),
      () => process.exit(1),
    )
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(0))
  const lastResort = (err: unknown) => {
    log.error({ err }, 'unexpected: this process ends')
    end(1)
  }
  process.on('uncaughtException', lastResort)
  process.on('unhandledRejection', (err) => {
    if (!isAbsorbed(err)) lastResort(err)
  })
  await started.catch(async (err) => {
    await stop()
    throw err
  })
}

/** The user, for the trail; containers run under numbers that have no name. */
function whoAsks(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

/** An AggregateError, of a host with several addresses, has its text in its parts alone. */
function textOf(err: unknown): string {
  if (err instanceof AggregateError && !err.message) return err.errors.map(textOf).join('; ')
  return err instanceof Error ? err.message : String(err)
}

main(process.argv[2] ?? 'serve', ...process.argv.slice(3)).catch((err) => {
  if (err instanceof SetupMissing)
    complain(
      `${err.message}\n\nA superuser runs this in the service's database, with a password for each login in place of :'…_password'\n(psql takes them by -v or \\set):\n\n${err.sql}`,
    )
  else complain(err instanceof ConfigError ? err.message : `customer-management: ${textOf(err)}`)
  process.exit(err instanceof ConfigError || err instanceof PemError ? 78 : 1)
})
