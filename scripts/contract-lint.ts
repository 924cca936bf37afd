import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  hasExtension,
  ScalarType,
} from '@bufbuild/protobuf'
import { registry } from '../server/contract/descriptors.js'
import { rulesOf } from '../server/contract/json-schema.js'
import { bindingOf, type HttpRule, httpRulesOf, meet, routesOf, variablesOf } from '../server/contract/routes.js'
import { type Described, linesOf, placeOf } from '../server/contract/source-info.js'

/** Something that Kong's grpc-gateway would not carry, or not as it is meant, and what it stands at. */
export interface Misfit {
  readonly at: Described
  readonly what: string
}

const personal = registry.getExtension('customer.policy.v1.personal')!
const timestamp = 'google.protobuf.Timestamp'
const carried = new Set<ScalarType | undefined>([undefined, ScalarType.STRING, ScalarType.BOOL, ScalarType.INT32, ScalarType.UINT32])
const isTime = (field: DescField) => field.message?.typeName === timestamp

/** What is wrong with one RPC's bindings, and with all that its messages hold. */
export function misfits(method: DescMethod): Misfit[] {
  const rules = httpRulesOf(method)
  if (rules.length === 0) return []
  const stream = method.methodKind === 'unary' ? [] : ['a stream']
  const here = [...stream, ...rules.flatMap((rule) => ruleMisfits(method, rule))].map((what) => ({ at: method, what }))
  return [...here, ...typeMisfits([method.input, method.output])]
}

function ruleMisfits(method: DescMethod, rule: HttpRule): string[] {
  const { verb, path } = bindingOf(rule)
  const hasBody = verb === 'post' || verb === 'patch'
  const variables = variablesOf(path)
  const query = rule.body === '' ? method.input.fields.filter((it) => !variables.includes(it.name)) : []
  return [
    hasBody || verb === 'get' || verb === 'delete' ? '' : `method ${verb}`,
    rule.body === (hasBody ? '*' : '') ? '' : `body ${JSON.stringify(rule.body)} of ${verb}`,
    rule.responseBody === '' ? '' : 'response_body',
    /^\/v1(\/(\{[a-z_]+\}|[a-zA-Z]+)(:[a-zA-Z]+)?)+$|^\/\.well-known\/[a-z.-]+$/.test(path) ? '' : `path ${path}`,
    verb === 'get' && path.includes('}:') ? 'GET with a verb behind a variable' : '',
    ...variables.filter((it) => unfitForPaths(method, it)).map((it) => `{${it}} in the path`),
    ...query.filter((it) => !inQueries(it)).map((it) => `${it.name} in the query`),
    ...(verb === 'delete'
      ? query.filter((it) => !ofDelete(it)).map((it) => `${it.name} in a DELETE: ids, etag, request_id and force alone`)
      : []),
    // a body that the gateway lost looks like an update of nothing
    verb === 'patch' && !/^ Errors:.*\bUPDATE_EMPTY\b/m.test(linesOf(method)) ? 'a PATCH without UPDATE_EMPTY among its errors' : '',
  ].filter((it) => it !== '')
}

/** What stands between the slashes arrives as it is (`tnt_1:undelete`, `%40`), and a query can empty it: the field's rule must refuse that. */
function unfitForPaths(method: DescMethod, name: string): boolean {
  const field = method.input.fields.find((it) => it.name === name)
  const rules = field?.fieldKind === 'scalar' ? rulesOf(field)?.type : undefined
  if (rules?.case !== 'string' || rules.value.pattern === '') return true
  const pattern = new RegExp(rules.value.pattern)
  const [example] = rules.value.example
  if (example === undefined || pattern.test('')) return true
  // at the end, and in the place of each sign: a class that takes one of these takes it somewhere
  const probes = [':', '%', '/'].flatMap((sign) => [
    `${example}${sign}x`,
    ...[...example].map((_, i) => `${example.slice(0, i)}${sign}${example.slice(i + 1)}`),
  ])
  return probes.some((it) => pattern.test(it))
}

const inQueries = (field: DescField) => {
  if (field.proto.options && hasExtension(field.proto.options, personal)) return false
  return field.fieldKind === 'scalar' || field.fieldKind === 'enum' || isTime(field)
}
const ofDelete = ({ name }: DescField) => /_id$|^role_key$|^etag$|^force$/.test(name)

/** The types that these messages hold, however deep, and that do not pass through the plugin as they are. */
function typeMisfits(roots: readonly DescMessage[]): Misfit[] {
  const seen = new Set<DescMessage | DescEnum>(roots)
  const found: Misfit[] = []
  for (const type of seen) {
    if (type.parent) found.push({ at: type, what: `${type.typeName} stands inside of another message` })
    for (const field of type.kind === 'message' ? type.fields : []) {
      const name = `${type.typeName}.${field.name}`
      if (!passes(field)) found.push({ at: field, what: `the type of ${name}` })
      else if (field.message && !isTime(field)) seen.add(field.message)
      if (field.enum) seen.add(field.enum)
      // the gateway's answers have times without a zone: a Z is set behind whatever is called so
      if (isTime(field) !== field.name.endsWith('_time'))
        found.push({ at: field, what: `${name}: times end in _time, and nothing else does` })
      if (field.fieldKind === 'map' && takesTimeKeys(field)) found.push({ at: field, what: `${name} takes keys that end in _time` })
    }
  }
  return found
}

function passes(field: DescField): boolean {
  if (field.fieldKind === 'map') return field.mapKey === ScalarType.STRING && field.scalar === ScalarType.STRING
  const ours = field.message === undefined || isTime(field) || !field.message.typeName.startsWith('google.')
  return carried.has(field.scalar) && ours
}

function takesTimeKeys(field: DescField): boolean {
  const rules = rulesOf(field)?.type
  const keys = rules?.case === 'map' ? rules.value.keys?.type : undefined
  // a pattern that can say no underscore cannot say _time
  return keys?.case !== 'string' || keys.value.pattern === '' || /_|\\w|\\[^.d-]|\[\^|(^|[^\\])\.(?![^[]*\])/.test(keys.value.pattern)
}

/** All that is wrong with these services at the edge: `proto/…:12: GetTenant: …`, shadowed bindings last. */
export function lintContract(services: readonly DescService[]): string[] {
  const methods = services.flatMap((service) => service.methods)
  const found = methods.flatMap((method) => misfits(method).map(({ at, what }) => `${placeOf(at)}: ${method.name}: ${what}`))
  const routes = routesOf(services)
  const shadowed = routes.flatMap((one, i) =>
    routes
      .slice(i + 1)
      .filter((other) => meet(one, other))
      .map((other) => `${placeOf(other.method)}: ${other.method.name}: ${other.path} fits ${one.path} of ${one.method.name} too`),
  )
  return [...new Set([...found, ...shadowed])]
}
