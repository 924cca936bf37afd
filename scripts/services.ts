import { startServices } from '../test/support/services.js'

/** PostgreSQL, Redis and Kafka for whoever develops by hand; they live until Ctrl-C and hold nothing after it. */
try {
  const services = await startServices()
  const urls = {
    TEST_DATABASE_URL: services.postgres?.superuserUrl,
    REDIS_URL: services.redis?.url,
    KAFKA_BROKERS: services.kafka?.brokers,
  }
  for (const line of services.describe()) console.log(`# ${line}`)
  for (const [name, url] of Object.entries(urls)) if (url !== undefined) console.log(`export ${name}='${url}'`)
  console.log('# Ctrl-C stops them')
  const alive = setInterval(() => {}, 2 ** 30)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
  })
  clearInterval(alive)
  await services.stop()
} catch (err) {
  console.error(`services: ${(err as Error).message}`)
  process.exitCode = 1
}
