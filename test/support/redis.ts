import { chmod, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from '../../server/dev/free-port.js'
import { run } from '../../server/dev/run.js'
import { fetchOnce, unpackFile } from './maven.js'
import { launch, ServiceMissing, type ServiceProcess } from './service-process.js'
import { makeFolder, removeFolder } from './temp-folder.js'

export interface RedisServer extends ServiceProcess {
  url: string
  port: number
  /** For people. */
  how: string
}

const artifact = 'com.github.codemonstur:embedded-redis:1.4.3'
const binaries: Record<string, string> = {
  'linux-x64': 'redis-server-6.2.6-v5-linux-amd64',
  'linux-arm64': 'redis-server-6.2.7-linux-arm64',
  'darwin-x64': 'redis-server-6.2.6-v5-darwin-amd64',
  'darwin-arm64': 'redis-server-6.2.6-v5-darwin-arm64',
}

/**
 * A Redis of one's own. It persists nothing, so it comes back empty.
 * @throws ServiceMissing if this machine has none and can't fetch one.
 */
export async function startRedis(): Promise<RedisServer> {
  const { file, from } = await findBinary()
  const folder = await makeFolder('redis')
  try {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort()
      const url = `redis://127.0.0.1:${port}`
      const config = join(folder, 'redis.conf')
      await writeFile(config, `bind 127.0.0.1\nport ${port}\nsave ""\nappendonly no\ndir "${folder}"\n`)
      const program = { name: 'Redis', file, args: [config], env: { PATH: process.env.PATH }, folder, answers: () => redisAnswers(url) }
      try {
        const server = await launch(program)
        return Object.assign(server, { url, port, how: `Redis, ${from}, on 127.0.0.1:${port}` })
      } catch (err) {
        // another took the port
        if (attempt === 3) throw err
      }
    }
  } catch (err) {
    await removeFolder(folder)
    throw err
  }
}

export async function redisAnswers(url: string): Promise<boolean> {
  const client = new Redis(url, { lazyConnect: true, connectTimeout: 2_000, commandTimeout: 2_000, retryStrategy: () => null })
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.ping()) === 'PONG'
  } catch {
    return false
  } finally {
    client.disconnect()
  }
}

async function findBinary(): Promise<{ file: string; from: string }> {
  if ((await run('redis-server', ['--version'])).ok) return { file: 'redis-server', from: 'redis-server of the PATH' }
  const name = binaries[`${process.platform}-${process.arch}`]
  if (!name) throw new ServiceMissing('put redis-server on the PATH')
  try {
    const folder = await fetchOnce(`redis-${process.platform}-${process.arch}`, async (draft) => {
      await unpackFile(artifact, name, draft)
      // the watchdog knows it by this name
      await rename(join(draft, name), join(draft, 'redis-server'))
      await chmod(join(draft, 'redis-server'), 0o755)
    })
    return { file: join(folder, 'redis-server'), from: `binary of ${artifact}` }
  } catch (err) {
    throw new ServiceMissing(
      'put redis-server on the PATH (Debian: apt-get install redis-server), or install Java 17 and Maven, which fetch one',
      err,
    )
  }
}
