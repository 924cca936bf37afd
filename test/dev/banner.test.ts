import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type BannerFacts, banner } from '../../server/dev/banner.js'
import { keptSecret } from '../../server/dev/kept-secret.js'

const facts: BannerFacts = {
  production: false,
  postgres: 'PostgreSQL 15 from npm on 127.0.0.1:5433',
  redis: 'in memory',
  kafka: 'none: events are read by RPC',
  hosts: ['127.0.0.1', '::1'],
  grpcPort: 50051,
  grpcTls: false,
  httpPort: 8080,
  rest: true,
  bootstrapKey: 'ck_abc',
  freeSlug: 'acme',
  reflection: true,
  startedInMs: 1_249,
}

describe('the banner', () => {
  it('tells what is used, the key, a first call, and how long it took', () => {
    expect(banner(facts)).toBe(`customer-management
  PostgreSQL  PostgreSQL 15 from npm on 127.0.0.1:5433
  Redis       in memory
  Kafka       none: events are read by RPC
  gRPC        127.0.0.1:50051 and [::1]:50051
  HTTP        http://127.0.0.1:8080/healthz http://127.0.0.1:8080/readyz
  REST        http://127.0.0.1:8080/v1

The first platform key, for development:
  export CUSTOMER_API_KEY=ck_abc

A first call:
  npx buf curl --protocol grpc --http2-prior-knowledge \\
    -H "authorization: Bearer $CUSTOMER_API_KEY" -d '{"slug":"acme","displayName":"Acme Ltd","ownerEmail":"owner@acme.example"}' \\
    http://127.0.0.1:50051/customer.tenant.v1.TenantService/CreateTenant

And by REST:
  curl -H "authorization: Bearer $CUSTOMER_API_KEY" http://127.0.0.1:8080/v1/tenants

ready in 1.2 s
`)
  })

  it('never tells the key in production', () => {
    expect(banner({ ...facts, production: true })).not.toMatch(/ck_abc|export|buf curl/)
  })

  it('calls where the server listens, by TLS where it speaks that', () => {
    expect(banner({ ...facts, hosts: ['::1'], grpcTls: true })).toContain('https://[::1]:50051/')
    expect(banner({ ...facts, hosts: ['::'] })).toContain('http://127.0.0.1:50051/')
    expect(banner({ ...facts, hosts: ['10.0.0.7'] })).toContain('http://10.0.0.7:8080/healthz')
    expect(banner({ ...facts, reflection: false })).not.toContain('buf curl')
  })
})

describe('a secret that development keeps', () => {
  it('is made once, for its owner alone, also by many first starts at once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kept-'))
    try {
      const dataDir = join(folder, 'data')
      let made = 0
      const all = await Promise.all(Array.from({ length: 20 }, () => keptSecret(dataDir, 'bootstrap-key', () => `ck_${++made}`)))
      expect(new Set(all).size).toBe(1)
      expect(readdirSync(dataDir)).toEqual(['bootstrap-key'])
      expect(statSync(join(dataDir, 'bootstrap-key')).mode & 0o777).toBe(0o600)
      expect(statSync(dataDir).mode & 0o777).toBe(0o700)
      expect(readFileSync(join(dataDir, 'bootstrap-key'), 'utf8')).toBe(`${all[0]}\n`)
      expect(await keptSecret(dataDir, 'bootstrap-key', () => 'another')).toBe(all[0])
      writeFileSync(join(dataDir, 'bootstrap-key'), '')
      await expect(keptSecret(dataDir, 'bootstrap-key', () => 'x')).rejects.toThrow('is empty')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('whoever comes while another of this process draws one up takes nothing from it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kept-'))
    try {
      for (let round = 0; round < 20; round++) {
        const dataDir = join(folder, String(round))
        const all: Promise<string>[] = []
        for (let n = 0; n < 30; n++) {
          all.push(keptSecret(dataDir, 'bootstrap-key', () => `ck_${n}`))
          await new Promise(setImmediate)
        }
        expect(new Set(await Promise.all(all)).size).toBe(1)
        expect(readdirSync(dataDir)).toEqual(['bootstrap-key'])
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
