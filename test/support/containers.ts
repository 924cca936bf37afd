import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StartedTestContainer } from 'testcontainers'
import { freePort } from '../../server/dev/free-port.js'

export interface Image {
  name: string
  containerPort: number
  /** What it must be started with, once it is known where it will be reached. */
  settings(hostPort: number): { env?: Record<string, string>; command?: string[] }
  url(hostPort: number): string
}

const password = randomBytes(18).toString('base64url')

export const images: Record<'postgres' | 'redis' | 'kafka', Image> = {
  postgres: {
    name: 'postgres:15',
    containerPort: 5432,
    settings: () => ({
      env: { POSTGRES_PASSWORD: password },
      command: ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'max_connections=200', '-c', 'max_locks_per_transaction=256'],
    }),
    url: (port) => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
  },
  redis: {
    name: 'redis:7',
    containerPort: 6379,
    settings: () => ({ command: ['redis-server', '--save', '', '--appendonly', 'no'] }),
    url: (port) => `redis://127.0.0.1:${port}`,
  },
  kafka: {
    name: 'apache/kafka:4.1.0',
    containerPort: 9092,
    settings: (port) => ({
      env: {
        KAFKA_NODE_ID: '1',
        KAFKA_PROCESS_ROLES: 'broker,controller',
        KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
        KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093',
        KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
        KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
        KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
        KAFKA_HEAP_OPTS: '-Xmx384m',
      },
    }),
    url: (port) => `127.0.0.1:${port}`,
  },
}

/** How long a pull may take before the daemon counts as one that can't have the image. */
const startWithinMs = 120_000

/** Whether a Docker daemon answers within a second. */
export function dockerAnswers(): Promise<boolean> {
  const host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock'
  const socketPath = host.startsWith('unix://') ? host.slice('unix://'.length) : undefined
  if (socketPath !== undefined && !existsSync(socketPath)) return Promise.resolve(false)
  const { hostname, port } = socketPath === undefined ? new URL(host) : { hostname: '', port: '' }
  const target = socketPath === undefined ? { host: hostname, port } : { socketPath }
  return new Promise((resolve) => {
    const ping = request({ ...target, path: '/_ping', timeout: 1_000 }, (response) => resolve(response.resume().statusCode === 200))
    ping.once('timeout', () => ping.destroy(new Error('timeout')))
    ping.once('error', () => resolve(false))
    ping.end()
  })
}

/** @throws if the image can't be had or doesn't answer; nothing is left running then. */
export async function startContainer(
  image: Image,
  answers: (url: string) => Promise<boolean>,
): Promise<{ url: string; stop(): Promise<void> }> {
  const { GenericContainer } = await import('testcontainers')
  const port = await freePort()
  const { env = {}, command } = image.settings(port)
  let container = new GenericContainer(image.name)
    .withExposedPorts({ container: image.containerPort, host: port })
    .withEnvironment(env)
    .withStartupTimeout(startWithinMs)
  if (command) container = container.withCommand(command)
  const starting = container.start()
  const started = await Promise.race([starting, sleep(startWithinMs, undefined, { ref: false })])
  if (!started) {
    starting.then(stopContainer, () => {})
    throw new Error(`${image.name} was not there within ${startWithinMs / 1000} s`)
  }
  const url = image.url(port)
  const deadline = Date.now() + 60_000
  while (!(await answers(url))) {
    if (Date.now() > deadline) {
      await stopContainer(started)
      throw new Error(`${image.name} runs and doesn't answer`)
    }
    await sleep(100)
  }
  return { url, stop: () => stopContainer(started) }
}

async function stopContainer(container: StartedTestContainer): Promise<void> {
  await container.stop({ timeout: 0 })
}
