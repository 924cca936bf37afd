import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileRegistry, type DescService, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'

const folder = 'test/edge/kong'

/** One of the recorded requests; its README lies with the design. */
export interface KongCase {
  readonly id: string
  readonly group: string
  readonly about: string
  readonly nginx?: '8k' | '1m' | '2m'
  readonly kong_plugin?: string
  readonly request: {
    readonly http: '1.1' | '2'
    readonly method: string
    readonly path: string | Repeated
    readonly headers?: Readonly<Record<string, string | readonly string[] | Repeated>>
    readonly body?: string
    readonly body_base64?: string
    readonly body_repeat?: Repeated
    readonly chunked?: number
    readonly no_length?: boolean
  }
  readonly arrived: { readonly method: string; readonly message?: unknown; readonly error?: string; readonly wire_base64?: string } | null
  readonly upstream?: Upstream | 'down'
  readonly repaired: {
    readonly status: number
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
    readonly body_json?: unknown
    readonly trailers?: Readonly<Record<string, string>>
  }
}
export interface Upstream {
  readonly message?: unknown
  readonly status?: { readonly code: number; readonly message: string | Repeated }
  readonly initial_metadata?: Readonly<Record<string, string>>
  readonly trailing_metadata?: Readonly<Record<string, string>>
  readonly delay_ms?: number
  readonly wire_base64?: string
}
export interface Repeated {
  readonly before: string
  readonly repeat: string
  readonly count: number
  readonly after: string
}

export const kongCases = (): KongCase[] => JSON.parse(readFileSync(`${folder}/cases.json`, 'utf8')) as KongCase[]
export const recordedView = (): string => readFileSync(`${folder}/view.proto`, 'utf8')

/** The services of the fixture contract, compiled by buf. */
export function fixtureServices(): DescService[] {
  const place = mkdtempSync(join(tmpdir(), 'edge-fixture-'))
  try {
    cpSync('third_party/google/api', join(place, 'google/api'), { recursive: true })
    cpSync(`${folder}/fixture.proto`, join(place, 'fixture.proto'))
    const image = execFileSync('node_modules/.bin/buf', ['build', place, '--as-file-descriptor-set', '-o', '-#format=binpb'])
    const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image))
    return [...registry].filter((it) => it.kind === 'service')
  } finally {
    rmSync(place, { recursive: true })
  }
}
