import { type DescMethod, type DescService, getExtension, hasExtension, type Message } from '@bufbuild/protobuf'
import { registry } from './descriptors.js'

/** google.api.HttpRule as far as a gateway of ours knows it. */
export interface HttpRule extends Message {
  readonly pattern: { case?: string; value?: string | { path: string } }
  readonly body: string
  readonly responseBody: string
  readonly additionalBindings: readonly HttpRule[]
}

/** One way by which REST reaches an RPC. */
export interface Binding {
  /** In lower case: `get`, `post`, `patch`, `delete`. */
  readonly verb: string
  /** `/v1/tenants/{tenant_id}:suspend` */
  readonly path: string
}

export interface Route extends Binding {
  readonly method: DescMethod
  /** The message is the JSON body; otherwise it is the query. The path's variables are fields of it either way. */
  readonly hasBody: boolean
  readonly variables: readonly string[]
  /** Its groups are the variables, in their order. Matches as Kong's plugin does: literals are not escaped. */
  readonly pattern: RegExp
}

const http = registry.getExtension('google.api.http')!
const variable = /\{([^}]*)\}/g

/** All of an RPC's HTTP rules, the additional ones last. */
export function httpRulesOf({ proto: { options } }: DescMethod): readonly HttpRule[] {
  if (!options || !hasExtension(options, http)) return []
  const rule = getExtension(options, http) as HttpRule
  return [rule, ...rule.additionalBindings]
}

export const bindingOf = ({ pattern: { case: verb = '', value = '' } }: HttpRule): Binding => ({
  verb,
  path: typeof value === 'string' ? value : value.path,
})

export const variablesOf = (path: string): string[] => [...path.matchAll(variable)].map((it) => it[1] as string)

/** The route table of these services, most specific first: more segments, then literals before variables. */
export function routesOf(services: readonly DescService[]): Route[] {
  const routes = services.flatMap((service) =>
    service.methods.flatMap((method) =>
      httpRulesOf(method).map((rule): Route => {
        const binding = bindingOf(rule)
        const pattern = new RegExp(`^${binding.path.replace(variable, '([^/]+)')}$`)
        return { ...binding, method, hasBody: rule.body !== '', variables: variablesOf(binding.path), pattern }
      }),
    ),
  )
  return routes.sort(bySpecificity)
}

function bySpecificity(one: Route, other: Route): number {
  const [ones, others] = [one.path.split('/'), other.path.split('/')]
  if (ones.length !== others.length) return others.length - ones.length
  for (const [i, segment] of ones.entries()) {
    const difference = openness(segment) - openness(others[i]!)
    if (difference !== 0) return difference
  }
  return one.path < other.path ? -1 : one.path > other.path ? 1 : one.verb < other.verb ? -1 : 1
}

/** 0: a literal, 1: a variable with something behind it, 2: a variable alone. */
const openness = (segment: string) => (!segment.startsWith('{') ? 0 : segment.endsWith('}') ? 2 : 1)

const takes = (template: string, segment: string) => new RegExp(`^${template.replace(variable, '[^/]+')}$`).test(segment)
const filled = (template: string) => template.replace(variable, 'x')

/** Whether a path can fit both: the binding that is read first would take it from the other. */
export function meet(one: Binding, other: Binding): boolean {
  const [ones, others] = [one.path.split('/'), other.path.split('/')]
  if (one.verb !== other.verb || ones.length !== others.length) return false
  return ones.every((it, i) => takes(it, filled(others[i]!)) || takes(others[i]!, filled(it)))
}
