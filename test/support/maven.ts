import { existsSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withDraft } from '../../server/dev/drafts.js'
import { run } from '../../server/dev/run.js'
import { ServiceMissing } from './service-process.js'

const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
/** Pinned, so that a machine that has it needs no network. */
const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1'
const timeoutMs = 10 * 60_000

/** Maven's local repository takes one writer at a time. */
let lastRun: Promise<unknown> = Promise.resolve()

/** The folder `.cache/<name>`, filled once; of several that fill it at once the first wins, and a kill leaves no half one. */
export async function fetchOnce(name: string, fill: (draft: string) => Promise<void>): Promise<string> {
  const target = join(cache, name)
  if (existsSync(target)) return target
  await mkdir(cache, { recursive: true })
  await withDraft(cache, name, async (draft) => {
    await mkdir(draft)
    await fill(draft)
    await rename(draft, target).catch((err) => {
      if (!existsSync(target)) throw err
    })
  })
  return target
}

/** Copies the artifacts, `group:artifact:version`, and all that they need at run time into `folder`. */
export async function copyWithDependencies(artifacts: string[], folder: string): Promise<void> {
  const pom = join(folder, 'pom.xml')
  const dependencies = artifacts.map((artifact) => {
    const [group, id, version] = artifact.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${id}</artifactId><version>${version}</version></dependency>`
  })
  await writeFile(
    pom,
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>services</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>${dependencies.join('')}</dependencies></project>\n`,
  )
  await maven(['-f', pom, `${plugin}:copy-dependencies`, '-DincludeScope=runtime', `-DoutputDirectory=${folder}`], folder)
}

/** Unpacks one file of an artifact's jar into `folder`. */
export async function unpackFile(artifact: string, file: string, folder: string): Promise<void> {
  await maven([`${plugin}:unpack`, `-Dartifact=${artifact}`, `-Dmdep.unpack.includes=${file}`, `-DoutputDirectory=${folder}`], folder)
  if (!existsSync(join(folder, file))) throw new ServiceMissing(`${artifact} holds no ${file}`)
}

function maven(args: string[], cwd: string): Promise<void> {
  const result = lastRun.then(async () => {
    const command = ['-q', '-B', '--no-transfer-progress', ...args]
    let ran = await run('mvn', command, { cwd, timeoutMs })
    // two runs of ours may have met in the local repository
    if (!ran.ok && !/ENOENT/.test(ran.output)) ran = await run('mvn', command, { cwd, timeoutMs })
    if (!ran.ok) throw new ServiceMissing(`Maven could not fetch it: ${ran.output.trim().split('\n').slice(0, 5).join('\n')}`)
  })
  lastRun = result.catch(() => {})
  return result
}
