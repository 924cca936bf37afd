import { clauseFrom, lineOf, listOf, type Piece, piecesOf } from './sql-text.js'

/** `queries`: what the service sends, of which only the rules of Citus and of qualified names speak. */
export type ScriptKind = 'platform' | 'tenant' | 'queries'

export interface Finding {
  readonly line: number
  readonly reason: string
}

/**
 * What a script must not do, by DATA.md: slow or locking forms over a fleet of schemas, names that search_path would have to find, and what
 * Citus refuses or makes unsafe. Empty: it may be checked in.
 */
export function checkScript(script: string, kind: ScriptKind): readonly Finding[] {
  const pieces = piecesOf(script)
  const made = new Set(pieces.flatMap(({ text }) => madeTable.exec(text)?.[1]?.replaceAll(/\s/g, '') ?? []))
  const findings: Finding[] = []
  for (const piece of pieces) {
    const refuse = (at: number, reason: string) => findings.push({ line: lineOf(script, piece.at + at), reason })
    for (const [kinds, pattern, reason] of phrases) {
      const match = pattern.exec(piece.text)
      if (match && kinds.includes(kind)) refuse(match.index, reason)
    }
    checkVolatile(piece.text, refuse)
    checkNames(piece, kind, refuse)
    if (kind === 'queries' || piece.inBody) continue
    checkAlter(piece.text, pieces, refuse)
    checkIdentity(piece.text, refuse)
    checkIndex(piece.text, kind === 'platform' && pieces.filter(({ inBody }) => !inBody).length > 1, made, refuse)
  }
  return findings.sort((a, b) => a.line - b.line)
}

type Refuse = (at: number, reason: string) => void

const name = String.raw`(?:"[^"]+"|[a-z_{][\w{}$]*)`
const relation = String.raw`(${name}(?:\s*\.\s*${name})?)`
const madeTable = new RegExp(String.raw`^create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?${relation}`)

const everywhere: readonly ScriptKind[] = ['platform', 'tenant', 'queries']
const scripts: readonly ScriptKind[] = ['platform', 'tenant']
const phrases: readonly (readonly [kinds: readonly ScriptKind[], pattern: RegExp, reason: string])[] = [
  [everywhere, /^\s*merge\s+into\b/, 'MERGE: Citus has none; INSERT … ON CONFLICT'],
  [everywhere, /\block\s+(?:table\s+)?(?:only\s+)?[\w{}"]+\.[\w"]+/, 'LOCK TABLE stops everybody'],
  [
    everywhere,
    /^(?:vacuum|cluster|reindex|analyze)\b/,
    'VACUUM, CLUSTER, REINDEX and ANALYZE are no part of a transaction, or lock the table',
  ],
  [
    scripts,
    /^(?:begin|start\s+transaction|commit|rollback|savepoint)\b(?=\s*(?:$|work|transaction|isolation|;))/,
    'the runner owns the transaction',
  ],
  [scripts, /^(?:set|reset)\s+(?!local\b)/, 'session state: it stays behind on the connection'],
  [scripts, /\bon\s+all\s+(?:tables|sequences)\s+in\s+schema\b/, 'ON ALL … IN SCHEMA scans pg_class: name them'],
  [scripts, /\binherits\s*\(|^alter\s+table\s[\s\S]*\sinherit\s/, 'INHERITS: Citus has none'],
  [scripts, /^create\s+schema\b[\s\S]*\b(?:create|grant)\b/, 'no schema elements inside CREATE SCHEMA'],
  [scripts, /\bindex\s+concurrently\b/, 'CONCURRENTLY does not work in a transaction'],
  [['tenant'], /^create\s+schema\b/, 'lib.make_tenant makes the schema'],
  [
    ['tenant'],
    /^create\s+(?:or\s+replace\s+)?(?:constraint\s+|event\s+)?(?:trigger|rule)\b/,
    'no triggers in tenant schemas: Citus has none',
  ],
  [
    ['tenant'],
    /^(?:do|create\s+(?:or\s+replace\s+)?(?:function|procedure))\b/,
    'code lives in lib: Citus is sent the statements one by one',
  ],
]

/** Citus evaluates them on each shard anew; `now()` is the same everywhere. */
const volatile =
  /\b(clock_timestamp|timeofday|random|gen_random_uuid|uuid_generate_v\w+|nextval|setval|txid_current|pg_current_xact_id)\s*\(/
const notImmutable = new RegExp(
  String.raw`${volatile.source}|\b(?:now|statement_timestamp|transaction_timestamp)\s*\(|\bcurrent_(?:timestamp|date|time|user)\b`,
)

function checkVolatile(text: string, refuse: Refuse): void {
  for (const match of text.matchAll(/(?<!\bfor\s+|\bkey\s+)\bupdate\s+(?=[\w{"])/g)) {
    const clause = clauseFrom(text, match.index).split(/\breturning\b/)[0] as string
    const found = volatile.exec(clause)
    if (found) refuse(match.index + found.index, `${found[1]}() in UPDATE: volatile, Citus refuses it; pass the value`)
  }
  for (const match of text.matchAll(/\breturning\b/g)) {
    const found = notImmutable.exec(clauseFrom(text, match.index))
    if (found) refuse(match.index + found.index, `${found[0].replace(/\s*\($/, '()')} in RETURNING: only what is immutable may stand there`)
  }
}

/** ALTER TABLE by its actions. A table of the same script is no exception: its columns belong into CREATE TABLE. */
function checkAlter(text: string, pieces: readonly Piece[], refuse: Refuse): void {
  const head = new RegExp(String.raw`^alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?${relation}\s+`).exec(text)
  if (!head) return
  for (const { text: action, at } of listOf(text.slice(head[0].length))) {
    const no = (reason: string) => refuse(head[0].length + at, reason)
    const constraint = /^add\s+(?:constraint\s+\S+\s+)?(?:check|foreign|primary|unique|exclude)\b/.test(action)
    if (constraint && !/\bnot\s+valid\b|\busing\s+index\b/.test(action))
      no('ADD CONSTRAINT checks all rows under a lock: NOT VALID, and VALIDATE CONSTRAINT in a later script')
    if (/^add\b/.test(action) && !constraint) {
      if (/\bdefault\b/.test(action))
        no('ADD COLUMN … DEFAULT scans pg_index, 35 ms a schema: add it nullable, then ALTER COLUMN … SET DEFAULT')
      if (/\bnot\s+null\b/.test(action)) no('ADD COLUMN … NOT NULL: add it nullable')
      if (/\b(?:unique|primary\s+key|references|check)\b/.test(action))
        no('ADD COLUMN with a constraint: add the column, then the constraint NOT VALID')
      if (/\bgenerated\b|\b(?:small|big)?serial\b/.test(action))
        no('identity and generated columns are made in CREATE TABLE: this rewrites the table')
    }
    if (/^alter\s+(?:column\s+)?\S+\s+(?:set\s+data\s+)?type\b/.test(action))
      no('ALTER COLUMN … TYPE rewrites the table: add another column')
    if (/^alter\s+(?:column\s+)?\S+\s+set\s+not\s+null\b/.test(action))
      no('SET NOT NULL checks all rows under a lock: ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID')
    if (/^alter\s+(?:column\s+)?\S+\s+add\s+generated\b/.test(action)) no('identity columns are made in CREATE TABLE')
    const validated = /^validate\s+constraint\s+(\S+)/.exec(action)?.[1]
    if (
      validated &&
      pieces.some((other) => new RegExp(String.raw`\badd\s+constraint\s+${validated.replaceAll(/\W/g, '\\$&')}\s`).test(other.text))
    )
      no('VALIDATE CONSTRAINT beside its ADD CONSTRAINT holds the lock all the same: in a later script')
  }
}

function checkIdentity(text: string, refuse: Refuse): void {
  if (!madeTable.test(text)) return
  const from = text.indexOf('(') + 1
  for (const { text: column, at } of listOf(clauseFrom(text, from))) {
    if (/\b(?:small|big)?serial\b/.test(column) || (/\bas\s+identity\b/.test(column) && !/^\S+\s+(?:bigint|int8)\b/.test(column)))
      refuse(from + at, 'identity columns are bigint GENERATED … AS IDENTITY')
  }
}

/** Tenants' tables are small: an index is made in milliseconds. A platform table that is in use is locked against writers as long as the transaction takes. */
function checkIndex(text: string, besideOthers: boolean, made: ReadonlySet<string>, refuse: Refuse): void {
  const table = new RegExp(String.raw`^create\s+(?:unique\s+)?index\b[\s\S]*?\bon\s+(?:only\s+)?${relation}`).exec(text)?.[1]
  if (table && besideOthers && !made.has(table.replaceAll(/\s/g, '')))
    refuse(0, 'CREATE INDEX on a table that is in use: alone in its script, so that writers wait for it and for nothing else')
}

const named = [
  String.raw`\b(?:create\s+(?:unlogged\s+)?table|alter\s+table|drop\s+table|truncate(?:\s+table)?)\s+(?:if\s+(?:not\s+)?exists\s+)?(?:only\s+)?${relation}`,
  String.raw`\b(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:materialized\s+)?(?:view|sequence|function|procedure|type|domain)\s+(?:if\s+(?:not\s+)?exists\s+)?${relation}`,
  String.raw`\bcreate\s+(?:unique\s+)?index\b[\s\S]*?\bon\s+(?:only\s+)?${relation}`,
  String.raw`\binsert\s+into\s+${relation}`,
  String.raw`(?<!\bfor\s+|\bkey\s+|\bdo\s+|\bor\s+)\bupdate\s+(?:only\s+)?${relation}`,
  String.raw`\b(?<!distinct\s+)(?:from|join|(?<!\braise\s[^;]*)using)\s+(?:only\s+|lateral\s+)?${relation}(?![\w$]|\s*[.(])`,
  String.raw`\breferences\s+${relation}`,
  String.raw`\blike\s+${relation}\s+including`,
].map((pattern) => new RegExp(pattern, 'g'))
const granted =
  /^(?:grant|revoke)\s+[^;]*?\son\s+(?:table\s+|sequence\s+)?(?!schema\b|database\b|all\b|routine\b|type\b|language\b)(?:function\s+)?([\s\S]+?)\s+(?:to|from)\s/

/** Every relation names its schema: `{s}` in a tenant's script, `platform` or `lib` elsewhere, and never two of them in one statement. */
function checkNames({ text, inBody }: Piece, kind: ScriptKind, refuse: Refuse): void {
  const ctes = new Set(
    [...text.matchAll(/(?:\bwith\s+(?:recursive\s+)?|,\s*)(\w+)\s*(?:\([^()]*\)\s*)?as\s+(?:(?:not\s+)?materialized\s*)?\(/g)].map(
      (match) => match[1],
    ),
  )
  const rights = /^(?:grant|revoke)\b/.test(text)
  const found = (rights ? [] : named).flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => ({ at: match.index, relation: match[1] as string })),
  )
  const grants = granted.exec(text)
  if (grants) found.push(...listOf(grants[1] as string).map((each) => ({ at: 0, relation: each.text.replace(/\s*\(.*$/s, '') })))
  const schemas = new Set<string>()
  for (const { at, relation: whole } of found) {
    const parts = whole.replaceAll(/["\s]/g, '').split('.')
    const schema = parts.length > 1 ? (parts[0] as string) : ''
    const bare = parts.at(-1) as string
    if (schema === 'pg_catalog' || schema === 'information_schema' || (schema === '' && bare.startsWith('pg_'))) continue
    if (schema === '' && (ctes.has(bare) || /^(?:set|select|values|unnest|index|lateral|only)$/.test(bare))) continue
    if (schema === '' && /\b(?:extract|substring|trim|overlay)\s*\([^()]*$/.test(text.slice(0, at))) continue
    if (schema === '') refuse(at, `${bare} without its schema`)
    else if (kind === 'tenant' && schema !== '{s}') refuse(at, `${schema}.${bare} in a tenant's script: all it touches begins with {s}`)
    else if (kind !== 'tenant' && !(schema === 'platform' || schema === 'lib' || (kind === 'queries' && schema === '{s}')))
      refuse(at, `${schema}.${bare}: of a schema that is not the platform's`)
    if (schema !== 'lib') schemas.add(schema)
  }
  if (!inBody && schemas.size > 1) refuse(0, 'one statement touches a tenant and the platform, or two tenants')
}
