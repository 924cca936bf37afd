import { randomUUID } from 'node:crypto'
import type { TestProject } from 'vitest/node'
import { makePlatformKey } from '../../server/services/platform-accounts/first-key.rules.js'
import { type Cluster, createDatabase, prepareCluster } from './databases.js'
import { wrongEvents } from './emitted-events.js'
import { startPooler } from './pooler.js'
import { databaseEnv, startServerProcess } from './server-process.js'
import { startServices } from './services.js'
import { unlimited } from './unlimited.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** undefined in a field: that service could not be had, and was said so loudly. */
    cluster: Cluster | undefined
    redisUrl: string | undefined
    kafkaBrokers: string | undefined
    /** The server of the rpc project. */
    server: { address: string; httpUrl: string; key: string; superuserUrl: string; appUrl: string; topicPrefix: string } | undefined
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const services = await startServices()
  const stops: (() => Promise<unknown>)[] = [() => services.stop()]
  let emitted: string | undefined
  const teardown = async () => {
    const wrong = emitted === undefined ? [] : await wrongEvents(emitted)
    for (const stop of stops.splice(0).reverse()) await stop()
    if (wrong.length > 0) throw new Error(`events that the suite emitted are wrong:\n${wrong.join('\n')}`)
  }
  try {
    for (const line of services.describe()) console.log(`  ${line}`)
    const cluster = services.postgres && (await prepareCluster(services.postgres.superuserUrl))
    project.provide('cluster', cluster)
    project.provide('redisUrl', services.redis?.url)
    project.provide('kafkaBrokers', services.kafka?.brokers)
    const server = cluster && (await startRpcServer(cluster, services.redis?.url, services.kafka?.brokers, stops))
    project.provide('server', server)
    emitted = server?.superuserUrl
    return teardown
  } catch (err) {
    await teardown()
    throw err
  }
}

async function startRpcServer(
  cluster: Cluster,
  redisUrl: string | undefined,
  kafkaBrokers: string | undefined,
  stops: (() => Promise<unknown>)[],
) {
  const database = await createDatabase(cluster, 'rpc')
  const key = makePlatformKey()
  const topicPrefix = `rpc-${randomUUID().slice(0, 8)}.`
  const pooler = process.env['TEST_POOLER'] === 'pgbouncer' ? await startPooler(cluster, stops) : undefined
  const server = await startServerProcess({
    ...databaseEnv(pooler ? { ...pooler.throughPooler(database.urls), migrator: database.urls.migrator } : database.urls),
    ...(pooler ? { DATABASE_POOLER: 'transaction' } : {}),
    ...(redisUrl ? { REDIS_URL: redisUrl, REDIS_PREFIX: topicPrefix } : {}),
    ...(kafkaBrokers ? { KAFKA_BROKERS: kafkaBrokers, KAFKA_TOPIC_PREFIX: topicPrefix, KAFKA_PARTITIONS: '3' } : {}),
    BOOTSTRAP_API_KEY: key,
    // contract.test sends wrong credentials by the hundred
    AUTH_FAILURES_PER_MINUTE: '100000',
    ...unlimited,
    PLANS: 'standard,enterprise',
    REGIONS: 'default,eu',
  })
  stops.push(() => server.stop())
  return {
    address: server.address,
    httpUrl: server.httpUrl,
    key,
    superuserUrl: database.superuserUrl,
    appUrl: database.urls.app,
    topicPrefix,
  }
}
