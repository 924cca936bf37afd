import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { services } from '../server/contract/descriptors.js'

/** The house's rules (docs/architecture.md) as far as a program can hold them. */
const walk = (folder: string): string[] =>
  (existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ['node_modules', 'dist', 'gen'].includes(entry.name) ? [] : walk(path)
    return /\.(ts|mts|mjs)$/.test(entry.name) ? [path] : []
  })

const server = walk('server')
const written = [...server, ...walk('clients'), ...walk('test'), ...walk('bench'), ...walk('scripts')]
const text = new Map(written.map((path) => [path, readFileSync(path, 'utf8')]))
const importsOf = (path: string): string[] =>
  [...(text.get(path) ?? '').matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map((match) => match[1] as string)
const localImportsOf = (path: string): string[] =>
  importsOf(path)
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(path), name)).replace(/\.js$/, '.ts'))
const roomOf = (path: string) => /^server\/(services\/[^/]+|[^/]+)\//.exec(path)?.[1] ?? ''
const kebab = (name: string) => name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '-').toLowerCase()

const rpcs = services().flatMap((service) => service.methods.map((method) => kebab(method.name)))
const inServiceRooms = server.filter((path) => path.startsWith('server/services/'))

describe('every RPC', () => {
  it.each(rpcs)('%s has one handler, in a room of its own file, and a test beside it', (rpc) => {
    const handlers = inServiceRooms.filter((path) => path.endsWith(`/${rpc}.ts`))
    expect(handlers).toHaveLength(1)
    const test = `${handlers[0]?.replace(/^server/, 'test').replace(/\.ts$/, '.test.ts')}`
    expect(written).toContain(test)
  })
})

it('a file without a kind in a service room is an RPC, and no room has more than 35 files or a folder', () => {
  const others = inServiceRooms.filter((path) => !/\/[^/]+\.[^/]+\.ts$/.test(path) && !rpcs.some((rpc) => path.endsWith(`/${rpc}.ts`)))
  expect(others).toEqual([])
  expect(inServiceRooms.filter((path) => path.split('/').length !== 4)).toEqual([])
  const rooms = new Map<string, string[]>()
  for (const path of inServiceRooms) rooms.set(roomOf(path), [...(rooms.get(roomOf(path)) ?? []), path])
  for (const [room, files] of rooms) expect(files.length, room).toBeLessThanOrEqual(35)
})

describe('outside libraries', () => {
  const homes: Record<string, readonly string[]> = {
    '@grpc/grpc-js': ['rpc'],
    pg: ['db'],
    kysely: ['db', 'services/*'],
    kafkajs: ['outbox'],
    cloudevents: [],
    ioredis: ['cache'],
    'rate-limiter-flexible': ['cache'],
    pino: ['telemetry'],
    'typeid-js': ['keys'],
    zod: ['', 'config', 'edge'],
    yaml: ['edge'],
    '@bufbuild/protovalidate': ['contract'],
  }
  it.each(Object.entries(homes))('%s is imported in %j alone', (library, rooms) => {
    const strangers = server.filter((path) => {
      const values = [...(text.get(path) ?? '').matchAll(/^(?:import|export)\s+(?!type\b)[^'"]*['"]([^'"]+)['"]/gm)].map(
        (match) => match[1] as string,
      )
      const uses = values.some((name) => name === library || name.startsWith(`${library}/`))
      const room = roomOf(path)
      return uses && !rooms.some((home) => home === room || (home === 'services/*' && room.startsWith('services/')))
    })
    expect(strangers).toEqual([])
  })
})

it('engine rooms import no service room, and service rooms only the repos, rules, tables, events and wires of others', () => {
  const bad: string[] = []
  for (const path of server) {
    const room = roomOf(path)
    if (room === '') continue
    for (const target of localImportsOf(path)) {
      const other = roomOf(target)
      if (!other.startsWith('services/') || other === room) continue
      if (!room.startsWith('services/') || !/\.(repo|rules|table|events|wire)\.ts$/.test(target)) bad.push(`${path} → ${target}`)
    }
  }
  expect(bad).toEqual([])
})

it('no circle of imports', () => {
  const state = new Map<string, 'open' | 'done'>()
  const circles: string[] = []
  const visit = (path: string, trail: readonly string[]) => {
    if (state.get(path) === 'done' || !text.has(path)) return
    if (state.get(path) === 'open') {
      circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
      return
    }
    state.set(path, 'open')
    for (const next of valueImports(path)) visit(next, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of server) visit(path, [])
  expect(circles).toEqual([])

  function valueImports(path: string): string[] {
    const values = [...(text.get(path) ?? '').matchAll(/^(?:import|export)\s+(?!type\b)[^'"]*['"](\.[^'"]+)['"]/gm)].map(
      (match) => match[1] as string,
    )
    return values.map((name) => normalize(join(dirname(path), name)).replace(/\.js$/, '.ts'))
  }
})

it('SQL that names tables stands in repos and in db alone', () => {
  const table = /\b(?:from|into|update|join)\s+(?:platform|lib|\$\{schema\})\.[a-z_]+/
  const code = (path: string) => (text.get(path) ?? '').replaceAll(/^\s*(?:\*|\/\/|\/\*).*$/gm, '')
  const bad = server.filter((path) => !path.endsWith('.repo.ts') && roomOf(path) !== 'db' && table.test(code(path)))
  expect(bad).toEqual([])
})

it('the environment is read by config.ts alone', () => {
  expect(server.filter((path) => path !== 'server/config.ts' && text.get(path)?.includes('process.env'))).toEqual([])
})

it('no hand-written file passes 300 lines, and none is called utils, common, shared or helpers', () => {
  const long = [...text].filter(([, content]) => content.split('\n').length > 301).map(([path]) => path)
  expect(long).toEqual([])
  expect(written.filter((path) => /(^|\/)(utils?|common|shared|helpers?|misc)(\/|\.)/.test(path))).toEqual([])
})

it('no test is skipped, alone or asleep', () => {
  const word = (name: string) => new RegExp(`\\b(?:it|test|describe)\\.${name}\\(`)
  const tests = [...text].filter(([path]) => path.startsWith('test/') && path !== 'test/house.test.ts')
  const bad = tests
    .filter(([, content]) => word('skip').test(content) || word('only').test(content) || word('todo').test(content))
    .map(([path]) => path)
  expect(bad).toEqual([])
})
