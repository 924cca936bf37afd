import { type DescField, type DescMessage, type DescMethod, getExtension, hasExtension, type Message, ScalarType } from '@bufbuild/protobuf'
import { registry } from '../../server/contract/descriptors.js'
import { rulesOf } from '../../server/contract/json-schema.js'

/** One way by which REST reaches an RPC. */
export interface Binding {
  readonly verb: string
  readonly path: string
}

interface HttpRule extends Message {
  readonly pattern: { case?: string; value?: string | { path: string } }
  readonly body: string
  readonly responseBody: string
  readonly additionalBindings: readonly HttpRule[]
}

export const http = registry.getExtension('google.api.http')!
const personal = registry.getExtension('customer.policy.v1.personal')!
const timestamp = 'google.protobuf.Timestamp'

function httpRulesOf({ proto: { options } }: DescMethod): HttpRule[] {
  if (!options || !hasExtension(options, http)) return []
  const rule = getExtension(options, http) as HttpRule
  return [rule, ...rule.additionalBindings]
}
const bindingOf = ({ pattern: { case: verb = '', value = '' } }: HttpRule): Binding => ({
  verb,
  path: typeof value === 'string' ? value : value.path,
})
export const bindingsOf = (method: DescMethod): Binding[] => httpRulesOf(method).map(bindingOf)

const variable = /\{([^}]*)\}/g
/** As Kong's plugin matches: literals are not escaped, a variable takes anything but a slash. */
const takes = (template: string, segment: string) => new RegExp(`^${template.replace(variable, '[^/]+')}$`).test(segment)
const filled = (template: string) => template.replace(variable, 'x')

/** Whether a path can fit both: in Kong the binding that comes first would take it from the other. */
export function meet(one: Binding, other: Binding): boolean {
  const [ones, others] = [one.path.split('/'), other.path.split('/')]
  if (one.verb !== other.verb || ones.length !== others.length) return false
  return ones.every((it, i) => takes(it, filled(others[i]!)) || takes(others[i]!, filled(it)))
}

const carried = new Set<ScalarType | undefined>([undefined, ScalarType.STRING, ScalarType.BOOL, ScalarType.INT32, ScalarType.UINT32])

/** The fields of a message, and of all that it holds, whose type does not pass through the plugin as it is. */
function strangeTypes(root: DescMessage): string[] {
  const passes = (field: DescField) => {
    const { typeName = 'customer.' } = field.message ?? {}
    if (field.fieldKind === 'map') return field.mapKey === ScalarType.STRING && field.scalar === ScalarType.STRING
    return carried.has(field.scalar) && (typeName === timestamp || typeName.startsWith('customer.'))
  }
  const seen = new Set([root])
  const strange: string[] = []
  for (const { fields, typeName } of seen) {
    for (const field of fields) {
      if (!passes(field)) strange.push(`the type of ${typeName}.${field.name}`)
      else if (field.message && field.message.typeName !== timestamp) seen.add(field.message)
    }
  }
  return strange
}

/** What stands between the slashes arrives as it is (`tnt_1:undelete`, `%40`), and a query can empty it: the field's rule must refuse that. */
function unfitForPaths(method: DescMethod, name: string): boolean {
  const field = method.input.fields.find((it) => it.name === name)
  const rules = field?.fieldKind === 'scalar' ? rulesOf(field)?.type : undefined
  if (rules?.case !== 'string' || rules.value.pattern === '') return true
  const pattern = new RegExp(rules.value.pattern)
  const [example] = rules.value.example
  return example === undefined || ['', `${example}:undelete`, `${example}%40`].some((it) => pattern.test(it))
}

const inQueries = (field: DescField) => {
  if (field.proto.options && hasExtension(field.proto.options, personal)) return false
  return field.fieldKind === 'scalar' || field.fieldKind === 'enum' || field.message?.typeName === timestamp
}

/** What Kong's grpc-gateway would not carry of this RPC, or not as it is meant. */
export function misfits(method: DescMethod): string[] {
  const rules = httpRulesOf(method)
  if (rules.length === 0) return []
  const ofRules = rules.flatMap((rule) => {
    const { verb, path } = bindingOf(rule)
    const hasBody = verb === 'post' || verb === 'patch'
    const variables = [...path.matchAll(variable)].map((it) => it[1] as string)
    const query = rule.body === '' ? method.input.fields.filter((it) => !variables.includes(it.name)) : []
    return [
      hasBody || verb === 'get' || verb === 'delete' ? '' : `method ${verb}`,
      rule.body === (hasBody ? '*' : '') ? '' : `body ${JSON.stringify(rule.body)} of ${verb}`,
      rule.responseBody === '' ? '' : 'response_body',
      /^\/v1(\/(\{[a-z_]+\}|[a-zA-Z]+)(:[a-zA-Z]+)?)+$|^\/\.well-known\/[a-z.-]+$/.test(path) ? '' : `path ${path}`,
      verb === 'get' && path.includes('}:') ? 'GET with a verb behind a variable' : '',
      ...variables.filter((it) => unfitForPaths(method, it)).map((it) => `{${it}} in the path`),
      ...query.filter((it) => !inQueries(it)).map((it) => `${it.name} in the query`),
    ].filter((it) => it !== '')
  })
  const stream = method.methodKind === 'unary' ? [] : ['a stream']
  return [...stream, ...ofRules, ...strangeTypes(method.input), ...strangeTypes(method.output)]
}
