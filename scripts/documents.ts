import { readFileSync } from 'node:fs'
import { services } from '../server/contract/descriptors.js'
import { asyncApi } from '../server/edge/asyncapi.js'
import { openApi } from '../server/edge/openapi.js'
import { topicsOf } from '../server/outbox/topics.js'

/** What docs/ has for tools that ask no server, by file name. */
export function documents(): Map<string, string> {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  const { byStream, replay } = topicsOf('')
  const text = (document: object) => `${JSON.stringify(document, null, 2)}\n`
  return new Map([
    ['openapi.json', text(openApi(services(), { version, serverUrl: 'http://127.0.0.1:8080' }))],
    ['asyncapi.json', text(asyncApi({ ...byStream, replay }, version))],
  ])
}
