import { readFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { services } from '../contract/descriptors.js'
import { policyOf } from '../contract/policies.js'
import { kongConfig, kongValues } from './kong.js'

/** Beside the server's folder, in the sources and where it is built. */
const filter = (name: string) => readFileSync(new URL(`../../deploy/kong/${name}.lua`, import.meta.url), 'utf8')

/**
 * `kong.yml` as text. It holds the gateway secret: whoever writes it to a file keeps that to Kong.
 * @throws Error that names what is wrong with the values
 */
export function renderKong(valuesYaml: string, gatewaySecret: string): string {
  const values = kongValues.safeParse(parse(valuesYaml))
  if (!values.success) throw new Error(`the values for Kong: ${z.prettifyError(values.error)}`)
  const config = kongConfig({
    values: values.data,
    services: services(),
    isPublic: (method) => policyOf(method).scopes.includes('PUBLIC'),
    gatewaySecret,
    filters: { header: filter('header-filter'), body: filter('body-filter') },
  })
  return stringify(config, { lineWidth: 0 })
}
