import { dockerAnswers, images, startContainer } from './containers.js'
import { kafkaAnswers, startKafka } from './kafka.js'
import { postgresAnswers, startPostgresCluster } from './postgres.js'
import { redisAnswers, startRedis } from './redis.js'

/** The real services of one test run. One that is undefined can't be had on this machine, and was said so. */
export interface Services {
  postgres?: { superuserUrl: string }
  redis?: { url: string }
  kafka?: { brokers: string }
  /** Ends what was started here, and nothing else. May be called again. */
  stop(): Promise<void>
  /** One line a service, for people: what it is and where. */
  describe(): string[]
}

type Kind = 'postgres' | 'redis' | 'kafka'

interface Source {
  name: string
  /** Names a service that runs already. */
  variable: string
  answers(url: string): Promise<boolean>
  startHere(): Promise<Started>
}

interface Started {
  url: string
  how: string
  stop(): Promise<void>
}

const sources: Record<Kind, Source> = {
  postgres: {
    name: 'PostgreSQL',
    variable: 'TEST_DATABASE_URL',
    answers: postgresAnswers,
    startHere: async () => {
      const cluster = await startPostgresCluster({ crashSafe: false })
      return { url: cluster.superuserUrl, how: cluster.how, stop: cluster.stop }
    },
  },
  redis: { name: 'Redis', variable: 'REDIS_URL', answers: redisAnswers, startHere: startRedis },
  kafka: {
    name: 'Kafka',
    variable: 'KAFKA_BROKERS',
    answers: kafkaAnswers,
    startHere: async () => {
      const broker = await startKafka()
      return { url: broker.brokers, how: broker.how, stop: broker.stop }
    },
  },
}

/**
 * Brings up PostgreSQL, Redis and Kafka at the same time. Each is the one that its variable names, else a container, else a process of
 * this machine. `REQUIRE_SERVICES` lists those without which this throws (`postgres,redis,kafka`); nothing is left running then.
 * All that it started ends with this process, also when that is killed.
 */
export async function startServices(): Promise<Services> {
  const required = readRequired()
  const docker = dockerAnswers()
  // TEST_SERVICES=postgres: only these, for whoever is writing a test; what REQUIRE_SERVICES names is started all the same.
  const wanted = process.env.TEST_SERVICES?.split(',')
  const kinds = (Object.keys(sources) as Kind[]).filter((kind) => !wanted || wanted.includes(kind) || required.includes(kind))
  const outcomes = await Promise.allSettled(kinds.map((kind) => startOne(kind, docker)))
  const started: Partial<Record<Kind, Started>> = {}
  const lines: string[] = []
  const failures: string[] = []
  for (const [i, kind] of kinds.entries()) {
    const outcome = outcomes[i]!
    if (outcome.status === 'fulfilled') {
      started[kind] = outcome.value
      lines.push(outcome.value.how)
      continue
    }
    const { name, variable } = sources[kind]
    const line = `NO ${name}: ${reasonOf(outcome.reason)}${process.env[variable] ? '' : `; or set ${variable}`}`
    lines.push(line)
    if (required.includes(kind) || process.env[variable]) failures.push(line)
    else console.warn(`\n!!! ${line}\n!!! The tests that need ${name} are skipped.\n`)
  }
  const stop = async () => {
    await Promise.all(Object.values(started).map((service) => service.stop()))
  }
  if (failures.length > 0) {
    await stop()
    throw new Error(failures.join('\n'))
  }
  const { postgres, redis, kafka } = started
  return {
    ...(postgres && { postgres: { superuserUrl: postgres.url } }),
    ...(redis && { redis: { url: redis.url } }),
    ...(kafka && { kafka: { brokers: kafka.url } }),
    stop,
    describe: () => lines,
  }
}

async function startOne(kind: Kind, docker: Promise<boolean>): Promise<Started> {
  const { name, variable, answers, startHere } = sources[kind]
  const url = process.env[variable]
  if (url) {
    if (!(await answers(url))) throw new Error(`the one that ${variable} names doesn't answer: start it, or unset ${variable}`)
    return { url, how: `${name} of ${variable}`, stop: async () => {} }
  }
  let note = ''
  if (await docker) {
    const image = images[kind]
    try {
      return { ...(await startContainer(image, answers)), how: `${name} from image ${image.name}` }
    } catch (err) {
      note = ` (Docker answers, but has no ${image.name}: ${reasonOf(err)})`
    }
  }
  const started = await startHere()
  return { url: started.url, how: started.how + note, stop: () => started.stop() }
}

function readRequired(): string[] {
  const names = (process.env.REQUIRE_SERVICES ?? '').split(',').map((name) => name.trim())
  const required = names.filter((name) => name !== '')
  const unknown = required.find((name) => !Object.hasOwn(sources, name))
  if (unknown) throw new Error(`REQUIRE_SERVICES names ${unknown}, which is none of ${Object.keys(sources).join(', ')}`)
  return required
}

function reasonOf(err: unknown): string {
  const { message, cause } = err as Error
  return cause instanceof Error ? `${message} (${cause.message})` : message
}
