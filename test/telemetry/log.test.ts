import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { newId } from '../../server/keys/ids.js'
import { makeSecret } from '../../server/keys/secret.js'
import { createLog } from '../../server/telemetry/log.js'
import { counter, readCounters } from '../../server/telemetry/metrics.js'
import { scrub } from '../../server/telemetry/scrub.js'

function logged(say: (log: ReturnType<typeof createLog>) => void, level: 'info' | 'warn' | 'error' = 'info') {
  const written: string[] = []
  say(createLog(level, { write: (text) => written.push(text) }))
  return written.join('')
}
const parsed = (text: string) => JSON.parse(text) as Record<string, unknown>

describe('a line', () => {
  it('has level, time, fields and message', () => {
    const line = parsed(logged((log) => log.info({ method: 'GetTenant', durationMs: 3 }, 'done')))
    expect(line).toEqual({ level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), method: 'GetTenant', durationMs: 3, msg: 'done' })
  })

  it('is left out below the level', () => {
    const say = (log: ReturnType<typeof createLog>) => {
      log.info({}, 'i')
      log.warn({}, 'w')
      log.error({}, 'e')
    }
    expect(logged(say, 'warn').trim().split('\n')).toHaveLength(2)
    expect(logged(say, 'error').trim().split('\n')).toHaveLength(1)
  })

  it('tells an error with its causes, and nothing that a driver hangs on it', () => {
    const cause = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (email)=(owner@acme.example)',
      where: 'SQL statement',
      parameters: ['x'],
    })
    const line = parsed(logged((log) => log.error({ err: new Error('not stored', { cause }) }, 'failed')))
    expect(line['err']).toMatchObject({ name: 'Error', message: 'not stored', cause: { message: 'duplicate key', code: '23505' } })
    expect(JSON.stringify(line)).not.toMatch(/acme|SQL statement|parameters/)
    expect((line['err'] as { stack: string }).stack).toContain('log.test.ts')
  })

  it('tells the reasons of a connection that was refused everywhere, and ends where causes go round', () => {
    const several = new AggregateError([Object.assign(new Error('refused by ::1'), { code: 'ECONNREFUSED' })])
    several.cause = several
    expect(
      logged((log) => log.error({ err: several, odd: [1n, Symbol('x'), () => 1, new Date(Number.NaN), Buffer.alloc(3)] }, 'x')),
    ).toContain('refused by ::1')
  })

  it('is bounded', () => {
    expect(logged((log) => log.info({ long: 'x'.repeat(1e6), many: Array(1e5).fill(1) }, 'y'.repeat(1e6))).length).toBeLessThan(10_000)
  })
})

/** What a process has written when it ends, by itself or by a kill -9. */
function writtenBy(code: string): string[] {
  const module = new URL('../../dist/server/telemetry/log.js', import.meta.url).href
  const script = `import { createLog } from ${JSON.stringify(module)}\nconst log = createLog('info')\n${code}`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { msg: string }).msg]))
}
const kill = "process.kill(process.pid, 'SIGKILL')"

describe('lines on stdout', () => {
  it('are all there in order, though they left together', () => {
    const all = Array.from({ length: 1_000 }, (_, i) => String(i))
    expect(writtenBy(`for (let i = 0; i < 1000; i++) log.info({}, String(i)); process.exit(3)`)).toEqual(all)
    expect(writtenBy(`for (let i = 0; i < 1000; i++) log.info({}, String(i))`)).toEqual(all)
  })

  it('of which the first leaves at once, and all behind a warning', () => {
    expect(writtenBy(`log.info({}, 'a'); ${kill}`)).toEqual(['a'])
    expect(writtenBy(`log.info({}, 'a'); log.info({}, 'b'); log.warn({}, 'c'); ${kill}`)).toEqual(['a', 'b', 'c'])
    expect(writtenBy(`log.info({}, 'a'); log.info({}, 'b'); setTimeout(() => ${kill}, 2_000)`)).toEqual(['a', 'b'])
  })
})

const nasty = [
  'a\r\nb',
  'a\nlevel":"error',
  '\u001b[31mred\u001b[0m',
  '\u009b31mred',
  'a\u2028b\u2029c',
  '\u0000\u0007\u007f',
  '\u202egpj.exe',
  '"}\n{"level":"fatal"',
  '\\n\\u000a',
  '\ud800',
  '\ufeffx',
]

describe('C-084 whatever a caller sends', () => {
  it.each(nasty.map((text, index) => [index, text] as const))(
    'text %i leaves one line of JSON that no terminal obeys, and is kept',
    (_, text) => {
      for (const line of [
        logged((log) => log.info({ text }, 'x')),
        logged((log) => log.info({ [text]: 1 }, 'x')),
        logged((log) => log.info({}, text)),
        logged((log) => log.error({ err: new Error(text, { cause: text }) }, 'x')),
      ]) {
        expect(line.endsWith('\n')).toBe(true)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\ufeff]/)
        parsed(line)
      }
      const kept = parsed(logged((log) => log.info({ text }, text)))
      expect([kept['text'], kept['msg']]).toEqual([text, text])
    },
  )
})

describe('C-085 no secret is written', () => {
  const ours = (['ck', 'rt', 'inv', 'rst', 'vrf'] as const).flatMap((kind) => [
    makeSecret(kind, newId('tnt'), newId('key')),
    makeSecret(kind, '', newId('pky')),
  ])
  const jwt = `eyJ${randomBytes(20).toString('base64url')}.${randomBytes(60).toString('base64url')}.${randomBytes(64).toString('base64url')}`
  const secrets = [...ours, 'ck_9fj2k0x8v7q3m5n1b6z4w0t8r2y7p5h3g1d9', ours[0]!.slice(0, 80), jwt]

  it.each(secrets.map((secret, index) => [index, secret] as const))('secret %i', (_, secret) => {
    // the part that makes it a secret: for ours, the random one
    const core = secret.split(/[_.]/).reduce((a, b) => (b.length > a.length ? b : a))
    const text = logged((log) => {
      log.info({ a: secret, [secret]: 1, deep: { list: [`x${secret}`] } }, `before\n${secret} after`)
      log.warn({ err: new Error(`no such key: ${secret}`, { cause: new Error(`Bearer%20${secret}`) }) }, `${secret}${secret}`)
    })
    expect(text).not.toContain(core)
    expect(text).toContain('[redacted]')
    for (const line of text.trim().split('\n')) parsed(line)
  })

  it('a value under the name of a secret, whatever it looks like', () => {
    const names = [
      'authorization',
      'Authorization',
      'password',
      'newPassword',
      'clientSecret',
      'access_token',
      'apiKey',
      'api_key',
      'cookie',
      'x-on-behalf-of',
      'privateKey',
    ]
    const text = logged((log) =>
      log.info({ ...Object.fromEntries(names.map((name) => [name, `value4711`])), in: { password: ['value4711'] } }, 'x'),
    )
    expect(text).not.toContain('4711')
  })

  it('a password in a URL, or behind Bearer or Basic', () => {
    const text = logged((log) =>
      log.info({ url: 'connect postgres://app:pass4711@db:5432/x failed' }, 'authorization: Basic dXNlcjo0NzEx and bearer abc4711'),
    )
    expect(text).not.toMatch(/4711|dXNlcjo/)
    expect(text).toContain('postgres://app:[redacted]@db:5432/x')
  })

  it('a mail address', () => {
    expect(logged((log) => log.info({ sent: 'to owner+x@mail.acme.example' }, 'Zoë@müller.example'))).not.toMatch(/owner|Zoë|müller/)
  })

  it('but ids are', () => {
    const ids = ['tnt', 'inv', 'key', 'pky', 'psa'].map((prefix) => newId(prefix as 'tnt'))
    expect(parsed(logged((log) => log.info({ ids }, ids.join(' '))))['ids']).toEqual(ids)
  })
})

it('scrubbing takes time in proportion to the text', () => {
  for (const piece of ['a', 'ck_', 'eyJa', 'bearer ', '://a:', 'a@b.', 'inv_p_', '@', 'eyJaaaaaaaa.']) {
    const text = piece.repeat(50_000 / piece.length)
    const begun = performance.now()
    scrub(text)
    expect(performance.now() - begun, piece).toBeLessThan(5_000)
  }
})

it('counters count, by name', () => {
  counter('test.parked').add()
  counter('test.parked').add(2)
  expect(counter('test.parked').value).toBe(3)
  expect(readCounters()).toMatchObject({ 'test.parked': 3 })
})
