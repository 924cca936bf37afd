import { afterEach, expect, it } from 'vitest'
import { begin, endAll, serverProgram } from './support/starting.js'

afterEach(endAll)
const run = async (...args: string[]) => {
  const started = begin({}, { program: [...serverProgram, ...args] })
  return { code: await started.exited, output: started.output() }
}
const commands = /^ {2}serve .*\n {2}migrate .*\n {2}recover-platform-key /m

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
