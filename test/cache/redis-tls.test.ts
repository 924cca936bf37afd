import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCache } from '../../server/cache/open-cache.js'
import { freePort } from '../../server/dev/free-port.js'
import { type PemFiles, readPems } from '../../server/keys/pem-files.js'
import { type Certificates, makeCertificates } from '../support/certificates.js'
import { haveRedis, type RedisServer, startRedis } from './redis-server.js'

const folder = mkdtempSync(join(tmpdir(), 'redis-tls-'))
const made = haveRedis ? makeCertificates(folder) : undefined
let server: RedisServer

describe.skipIf(!made)('Redis over TLS', () => {
  const files = made as Certificates
  beforeAll(async () => {
    const port = String(await freePort())
    server = await startRedis(
      '--tls-port',
      port,
      '--tls-cert-file',
      files.cert,
      '--tls-key-file',
      files.key,
      '--tls-ca-cert-file',
      files.ca,
    )
  })
  afterAll(async () => {
    await server?.stop()
    rmSync(folder, { recursive: true })
  })

  const reaches = async (tls: PemFiles | undefined, host = '127.0.0.1') => {
    const cache = openCache({ url: `rediss://${host}:${server.port}`, prefix: 't:', tls: tls && readPems(tls) })
    try {
      return await cache.ping()
    } finally {
      await cache.stop()
    }
  }

  it('answers a client whose certificate its authority signed', async () => {
    expect(await reaches({ ca: files.ca, cert: files.cert, key: files.key })).toBe(true)
  })

  it.each<[string, () => PemFiles | undefined]>([
    ['an authority of ours that did not sign its certificate', () => ({ ca: files.otherCa, cert: files.cert, key: files.key })],
    ["Node's own authorities", () => ({ cert: files.cert, key: files.key })],
    ['a client certificate of another authority', () => ({ ca: files.ca, cert: files.otherCert, key: files.otherKey })],
    ['no client certificate', () => ({ ca: files.ca })],
    ['plain text', () => undefined],
  ])('C-089 is not used with %s', async (_, tls) => {
    expect(await reaches(tls())).toBe(false)
  })

  it('C-089 is not used under a name that its certificate does not bear', async () => {
    expect(await reaches({ ca: files.ca, cert: files.cert, key: files.key }, '127.0.0.2')).toBe(false)
  })
})
