import { afterEach, expect, it } from 'vitest'
import { begin, endAll, serverProgram } from './support/starting.js'

afterEach(endAll)
const run = async (...args: string[]) => runWith({}, ...args)
const runWith = async (env: Record<string, string>, ...args: string[]) => {
  const started = begin(env, { program: [...serverProgram, ...args] })
  return { code: await started.exited, output: started.output() }
}
const commands = /^ {2}serve .*\n {2}migrate .*\n {2}kong render .*\n {2}recover-platform-key /m

it.each(['--help', '-h', 'help'])('%s lists the commands', async (word) =>
  expect(await run(word)).toEqual({ code: 0, output: expect.stringMatching(commands) }),
)

it('a command that is not there ends with 64 and the list', async () => {
  const { code, output } = await run('serv')
  expect([code, output]).toEqual([64, expect.stringMatching(commands)])
  expect(output).toMatch(/^customer-management: there is no command serv$/m)
})

it('migrate without URLs names all four, in development too', async () => {
  const { code, output } = await run('migrate')
  expect(code).toBe(78)
  expect(output.match(/^ {2}\w+_URL(?= is not set)/gm)).toHaveLength(4)
})

it('kong render prints the configuration; without the secret, the file or the verb it says so', async () => {
  const env = { GATEWAY_SECRET: '0123456789abcdef0123456789abcdef' }
  const good = await runWith(env, 'kong', 'render', 'deploy/kong/values.yaml')
  expect([good.code, good.output]).toEqual([0, expect.stringMatching(/^_format_version: "3.0"\n[\s\S]*x-gateway-secret:0123456789abcdef/)])
  const secretless = await run('kong', 'render', 'deploy/kong/values.yaml')
  expect([secretless.code, secretless.output]).toEqual([
    78,
    expect.stringContaining('GATEWAY_SECRET is not set, and `kong render` demands it'),
  ])
  expect((await runWith(env, 'kong', 'render', 'nowhere.yaml')).code).toBe(1)
  for (const args of [['kong'], ['kong', 'render'], ['kong', 'draw', 'x']]) expect((await run(...args)).code).toBe(64)
})
