import { execFile, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { ListEventsResponse } from '../../gen/customer/event/v1/event_service.js'
import { Tenant, TenantState } from '../../gen/customer/tenant/v1/tenant.js'
import { batch, sequence, startScriptedServer } from '../clients/typescript/scripted-server.js'
import { startSolo } from '../support/solo.js'
import { makeFolder, removeFolder } from '../support/temp-folder.js'
import { until } from '../support/until.js'
import { forgetPid, watchPid } from '../support/watchdog.js'

const run = promisify(execFile)
const root = new URL('../..', import.meta.url).pathname
const home = join(root, 'clients/typescript')
const tsc = join(root, 'node_modules/.bin/tsc')

const packageJson = async (folder: string) =>
  JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<
    'dependencies' | 'devDependencies' | 'peerDependencies',
    Record<string, string>
  >

/** Type errors on purpose, so that the types are seen to refuse as well as to take. */
const typesSample = `
import { createClient, CustomerManagementError, TenantOrder, TenantState, type CallOptions, type Input, type CreateTenantRequest, type Event, type Tenant } from '@enterprise/customer-management'
const client = createClient({ address: 'localhost:50051', apiKey: 'ck_x', tls: undefined, timeoutMs: undefined })
const signal: AbortSignal | undefined = undefined
const options: CallOptions = { signal, timeoutMs: undefined }
const request: Input<CreateTenantRequest> = { slug: 'acme', plan: undefined, labels: { tier: 'gold' }, contacts: { billingEmail: undefined } }
export const answers: Promise<Tenant>[] = [client.tenants.createTenant(request, options), client.tenants.updateTenant({ tenantId: '', purgeHold: undefined })]
export async function all() {
  for await (const tenant of client.tenants.listTenants({ state: 'TENANT_STATE_ACTIVE', orderBy: TenantOrder.TENANT_ORDER_SLUG_ASC })) {
    const state: TenantState = tenant.state
    const time: Date | undefined = tenant.createTime
    console.log(state, time)
  }
  for await (const page of client.tenants.listTenants({ state: TenantState.TENANT_STATE_ACTIVE }).pages()) console.log(page.nextPageToken)
  for await (const type of client.events.listEventTypes()) console.log(type.jsonSchema)
  const event: Event = (await client.events.watchEvents({ tenantId: '' }, { signal }).next()).value
  const info = await client.platform.getServerInfo()
  return [event.data, info.version]
}
export function told(error: unknown) {
  if (!(error instanceof CustomerManagementError)) return
  if (error.code === 'NOT_FOUND' && error.reason === 'TENANT_NOT_FOUND' && error.reason !== 'OF_A_NEWER_SERVICE') return error.violations[0]?.field
  // @ts-expect-error no such code
  return error.code === 'NOT_FUOND'
}
// @ts-expect-error a misspelt field
client.tenants.getTenant({ tenantid: '' })
// @ts-expect-error a wrong type
client.tenants.getTenant({ tenantId: 5 })
// @ts-expect-error no such state
client.tenants.listTenants({ state: 'ACTIVE' })
// @ts-expect-error a request that cannot be left out
client.tenants.getTenant()
// @ts-expect-error a watch has no deadline
client.events.watchEvents({}, { timeoutMs: 5 })
// @ts-expect-error no such RPC
client.tenants.dropTenant({})
`

const eventsSample = `
import { ConsumerError, createConsumer, type CustomerEvent, type EventData, type Gap, type Poison, type Position, type TenantCreated } from '@enterprise/customer-management/events'
import { Kafka } from 'kafkajs'
const kafka = new Kafka({ brokers: [] })
const tell = (event: CustomerEvent): string => {
  switch (event.type) {
    case 'com.enterprise.customer.tenant.created.v1': {
      const data: TenantCreated = event.data
      return data.slug + (data.contacts?.billing_email ?? '') + data.labels['tier'] + (data.state === 'TENANT_STATE_ACTIVE')
    }
    case 'com.enterprise.customer.tenant.updated.v1':
      return event.data.changed_fields.join() + (event.data.create_time ?? '').slice(1)
    case 'com.enterprise.customer.event.parked.v1':
      return event.data.event_type
    case 'unknown':
      return event.unknownType + event.data['anything']
    default:
      return event.sequence
  }
}
export const consumer = createConsumer({
  kafka, groupId: 'g', streams: ['domain', 'security'], attemptsMax: Infinity,
  handler: async (event: CustomerEvent, position: Position) => console.log(tell(event), position.sequence, position.stream),
  onGap: (gap: Gap) => console.log(gap.afterSequence),
  onPoison: async ({ reason, position, event, record }: Poison) => console.log(reason === 'record', position?.sequence, event?.id, record.value),
  lastSequence: async ({ tenantId, stream }) => (tenantId === stream ? undefined : '1'),
  replayed: (event) => console.log(event.replayid),
})
export const known: (keyof EventData)[] = ['com.enterprise.customer.tenant.deleted.v1']
export const failed = (error: unknown) => error instanceof ConsumerError && error.cause
declare const event: CustomerEvent
// @ts-expect-error a type that is none
if (event.type === 'com.enterprise.customer.tenant.vanished.v1') console.log()
// @ts-expect-error data before its type is known
console.log(event.data.slug)
// @ts-expect-error a field of another type
if (event.type === 'com.enterprise.customer.tenant.created.v1') console.log(event.data.invitation_id)
// @ts-expect-error camelCase is not how it stands on the wire
if (event.type === 'com.enterprise.customer.tenant.created.v1') console.log(event.data.displayName)
// @ts-expect-error events are read only
if (event.type === 'com.enterprise.customer.tenant.created.v1') event.data.slug = 'x'
// @ts-expect-error gaps cannot be overlooked
createConsumer({ kafka, groupId: 'g', handler: () => {} })
// @ts-expect-error no such stream
createConsumer({ kafka, groupId: 'g', handler: () => {}, onGap: () => {}, streams: ['audit'] })
`

const strict = [
  { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, verbatimModuleSyntax: true, skipLibCheck: true },
  { exactOptionalPropertyTypes: false, skipLibCheck: false },
]

let project: string
beforeAll(async () => {
  project = await makeFolder('sdk-package')
  // A folder of its own, so that two runs do not pack over each other; prepack builds.
  await run('npm', ['pack', '--pack-destination', project], { cwd: home })
  const [tarball] = (await readdir(project)).filter((name) => name.endsWith('.tgz'))
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  // Node's types, as any TypeScript project has them, in the root's version: mostly from npm's cache.
  const types = `@types/node@${(await packageJson(root)).devDependencies['@types/node']}`
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${tarball}`, types], { cwd: project })
}, 180_000)
afterAll(() => removeFolder(project))

const blocksOf = (page: string, language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, code]) => code!)
const ofKafka = (code: string) => code.includes("from 'kafkajs'")

/** The code blocks of the README: what it shows is what is compiled and run. */
async function readmeSamples(): Promise<string[]> {
  return blocksOf(await readFile(join(project, 'node_modules/@enterprise/customer-management/README.md'), 'utf8'), 'ts')
}

// @types/node 20 itself does not pass exactOptionalPropertyTypes: libraries, ours included, are checked without it.
async function compile(folder: string, sources: Record<string, string>, options: object) {
  const at = join(project, folder)
  await mkdir(at, { recursive: true })
  for (const [name, text] of Object.entries(sources)) await writeFile(join(at, name), text)
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    types: ['node'],
    ...options,
  }
  await writeFile(join(at, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  await run(tsc, ['-p', at]).catch((error: { stdout: string }) => expect.fail(error.stdout))
}

/** The lines that the first sample prints; it must write nothing to stderr. */
async function runTenLines(address: string, key: string): Promise<string[]> {
  const [tenLines] = await readmeSamples()
  await compile('run', { 'sample.ts': tenLines! }, { exactOptionalPropertyTypes: true, skipLibCheck: true })
  const env = { PATH: process.env['PATH'], CUSTOMER_ADDRESS: address, CUSTOMER_API_KEY: key }
  const { stdout, stderr } = await run('node', [join(project, 'run/sample.js')], { env })
  expect(stderr).toBe('')
  return stdout.trim().split('\n')
}

describe('the packed SDK', () => {
  it('holds what it needs and nothing else', async () => {
    const { stdout } = await run('npm', ['ls', '--all', '--parseable'], { cwd: project })
    expect(stdout).toContain('@grpc/grpc-js')
    expect(stdout).not.toMatch(/node_modules\/(pg|kysely|kafkajs|ioredis|zod)\b/)
    const files = await readdir(join(project, 'node_modules/@enterprise/customer-management'), { recursive: true })
    expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']))
    expect(files.filter((name) => /^(src|node_modules)|\.map$|policy|invitation/.test(name))).toEqual([])
  })

  it("asks for the root's versions of what both use", async () => {
    const [{ dependencies, peerDependencies }, { dependencies: theirs }] = [await packageJson(home), await packageJson(root)]
    for (const [name, version] of Object.entries({ ...dependencies, ...peerDependencies })) expect(theirs[name], name).toBe(version)
  })

  it.each(strict)('has types that a strict project takes: %j', async (options) => {
    const samples = (await readmeSamples()).filter((code) => !ofKafka(code))
    const sources = Object.fromEntries([typesSample, ...samples].map((code, i) => [`sample-${i}.ts`, code]))
    await compile(`types-${options.exactOptionalPropertyTypes}`, sources, { ...options, noEmit: true })
    expect(samples).toHaveLength(4)
  })

  it("runs the README's ten lines, and ends by itself", async () => {
    const id = `tnt_${'0'.repeat(26)}`
    const server = await startScriptedServer({
      createTenant: ({ request }) => Tenant.fromPartial({ ...request, id, state: TenantState.TENANT_STATE_ACTIVE }),
      listEvents: ({ request }) =>
        ListEventsResponse.fromPartial(request['afterSequence'] === '' ? batch(1, 2) : { events: [], lastSequence: sequence(2) }),
    })
    const printed = await runTenLines(server.address, 'ck_sample').finally(server.stop)
    const type = 'com.enterprise.customer.tenant.created.v1'
    expect(printed).toEqual([`${id} TENANT_STATE_ACTIVE`, `${sequence(1)} ${type}`, `${sequence(2)} ${type}`])
    expect(server.seen[0]!.metadata.get('authorization')).toEqual(['Bearer ck_sample'])
  })

  it("runs the README's ten lines against the service", async () => {
    const solo = await startSolo()
    const printed = await runTenLines(solo.address, solo.key).finally(solo.stop)
    expect(printed).toEqual([
      expect.stringMatching(/^tnt_[0-9a-z]{26} TENANT_STATE_ACTIVE$/),
      `${sequence(1)} com.enterprise.customer.tenant.created.v1`,
      `${sequence(2)} com.enterprise.customer.invitation.created.v1`,
    ])
  })

  it('is loaded by require() too', async () => {
    await writeFile(join(project, 'old.cjs'), "console.log(typeof require('@enterprise/customer-management').createClient)")
    expect((await run('node', ['--no-warnings', join(project, 'old.cjs')])).stdout).toBe('function\n')
  })

  it("is loaded without kafkajs, ./events too: the client is the consumer's own", async () => {
    const load =
      "await import('@enterprise/customer-management'); console.log(typeof (await import('@enterprise/customer-management/events')).createConsumer)"
    await writeFile(join(project, 'load.mjs'), load)
    expect((await run('node', [join(project, 'load.mjs')])).stdout).toBe('function\n')
  })
})

describe('the packed SDK beside kafkajs', () => {
  let typed: string
  let plain: string
  beforeAll(async () => {
    const { kafkajs } = (await packageJson(home)).peerDependencies
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `kafkajs@${kafkajs}`], { cwd: project })
    const page = await readFile(join(root, 'docs/events.md'), 'utf8')
    ;[typed, plain] = [blocksOf(page, 'ts')[0]!, blocksOf(page, 'js')[0]!]
  }, 120_000)

  it.each(strict)('types every event by its type, and refuses what is wrong: %j', async (options) => {
    expect((await readmeSamples()).filter(ofKafka)).toEqual([typed])
    await compile(
      `events-${options.exactOptionalPropertyTypes}`,
      { 'events.ts': eventsSample, 'page.ts': typed },
      { ...options, noEmit: true },
    )
  })

  /** What it printed when it had so many lines and was stopped; it must end by itself, and well. */
  async function consumed(file: string, topicPrefix: string, lines: number): Promise<string[]> {
    const kafka = { KAFKA_BROKERS: inject('kafkaBrokers'), KAFKA_TOPIC_PREFIX: topicPrefix, KAFKAJS_LOG_LEVEL: 'nothing' }
    const child = spawn('node', [file], { env: { PATH: process.env['PATH'], ...kafka }, stdio: ['ignore', 'pipe', 'pipe'] })
    watchPid(child.pid!)
    let [output, errors] = ['', '']
    child.stdout.on('data', (text) => {
      output += text
    })
    child.stderr.on('data', (text) => {
      errors += text
    })
    const exited = new Promise((resolve) => child.once('exit', resolve))
    try {
      await until(() => output.split('\n').length > lines, { timeoutMs: 60_000 })
      child.kill('SIGTERM')
      expect(await exited, errors).toBe(0)
    } finally {
      child.kill('SIGKILL')
      forgetPid(child.pid!)
    }
    expect(errors).toBe('')
    return output.trim().split('\n')
  }

  it.skipIf(!inject('kafkaBrokers'))("docs/events.md's consumers have what the service sent, and end when they are told to", async () => {
    const solo = await startSolo({ kafka: true })
    try {
      const { id, slug } = await solo.clients.tenants.createTenant({ slug: 'acme', displayName: 'Acme', ownerEmail: 'o@acme.example' })
      await compile('page', { 'typed.ts': typed }, { exactOptionalPropertyTypes: true, skipLibCheck: true })
      await writeFile(join(project, 'page/plain.mjs'), plain)
      expect(await consumed(join(project, 'page/typed.js'), solo.prefix, 1)).toEqual([`${id} ${slug} standard`])
      expect(await consumed(join(project, 'page/plain.mjs'), solo.prefix, 2)).toEqual([
        `com.enterprise.customer.tenant.created.v1 ${id}`,
        `com.enterprise.customer.invitation.created.v1 ${id}`,
      ])
    } finally {
      await solo.stop()
    }
  })
})
