import { isIP } from 'node:net'
import { z } from 'zod'
import { parseRingKeys, type RingKey } from './keys/ring.js'

/** What the process was started for; each demands other variables in production. */
export type Command = 'serve' | 'migrate' | 'recover-platform-key' | 'kong render'

/** A kind of value: how page and errors say it, and how it is read from the environment's text. */
export type Form<T> = readonly [says: string, parse: z.ZodType<T, string>]

/** Undefined where the text is no URL, or its login or password don't decode. */
export function urlOf(text: string | undefined): URL | undefined {
  try {
    const url = new URL(text ?? '')
    decodeURIComponent(url.username + url.password)
    return url
  } catch {
    return undefined
  }
}

export const matching = (says: string, form: RegExp): Form<string> => [says, z.string().regex(form)]

export const whole = (unit: string, min: number, max: number): Form<number> => [
  `${unit}, ${min}–${max}`,
  z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max),
]

export const oneOf = <const T extends string>(...values: T[]): Form<T> => [
  values.map((each) => `\`${each}\``).join(' or '),
  z.string().transform((text, context) => values.find((each) => each === text) ?? refuse(context)),
]

export const listOf = (says: string, fits: (part: string) => boolean): Form<readonly string[]> => [
  `${says}; several with commas`,
  z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .refine((parts) => parts.every(fits) && new Set(parts).size === parts.length),
]

export const rateClasses = ['READ', 'LIST', 'WRITE', 'ONBOARD', 'STREAM'] as const
export type RateLimitsOf = Readonly<Record<(typeof rateClasses)[number], number>>

/** `read=100,list=…`, every class once. */
export const ratesPerMinute: Form<RateLimitsOf> = [
  `calls a minute of each class, 1–100000000: \`${rateClasses.map((name) => `${name.toLowerCase()}=…`).join(',')}\``,
  z.string().transform((text, context) => {
    const given = text.split(',').map((part) => /^\s*([a-z]+)=([1-9]\d{0,8})\s*$/.exec(part))
    const entries = given.map((it) => [it?.[1]?.toUpperCase(), Number(it?.[2])] as const)
    const whole =
      entries.length === rateClasses.length && rateClasses.every((name) => entries.some(([it, n]) => it === name && n <= 100_000_000))
    return whole ? (Object.fromEntries(entries) as RateLimitsOf) : refuse(context)
  }),
]

export const onOff: Form<boolean> = [
  '`on` or `off`',
  z.enum(['on', 'off']).transform((text) => text === 'on') as unknown as z.ZodType<boolean, string>,
]
export const path = matching('a path', /^[^\0]{1,1000}$/)
export const pem = matching('the path of a PEM file', /^[^\0]{1,1000}$/)
export const address = listOf('an IP address', (part) => isIP(part) > 0)
export const broker = listOf('host:port', (part) => /^([\w.-]{1,255}|\[[\da-f:.]{2,45}\]):\d{1,5}$/i.test(part))
export const names = listOf('a name `[a-z][a-z0-9-]*` of at most 40 characters', (part) => /^[a-z][a-z0-9-]{0,39}$/.test(part))

/** A parameter of the URL would outrank DATABASE_TLS, and `sslmode=no-verify` is one. */
export const postgresUrl: Form<string> = [
  '`postgres://login:password@host:port/database`, without `ssl…` parameters (DATABASE_TLS says that)',
  z.string().refine((text) => {
    const url = urlOf(text)
    return (
      url !== undefined &&
      /^postgres(ql)?:$/.test(url.protocol) &&
      url.username !== '' &&
      url.hostname !== '' &&
      !/[?&]ssl/i.test(url.search)
    )
  }),
]

export const redisUrl: Form<string> = [
  '`redis://login:password@host:port/number`, or `rediss:` with TLS, without parameters',
  z.string().refine((text) => {
    const url = urlOf(text)
    return url !== undefined && /^rediss?:$/.test(url.protocol) && url.hostname !== '' && url.search === ''
  }),
]

export const ringKeys: Form<readonly RingKey[]> = [
  'the base64 of 32 bytes, or `id:base64`; several with commas, each another key under another id',
  z.string().transform((text, context) => {
    try {
      return parseRingKeys(text)
    } catch {
      return refuse(context)
    }
  }),
]

/** Whether a person, or the author of an example, made this up. Of 20 and more characters drawn at random, less than one in 100,000 looks so. */
export function looksChosen(secret: string): boolean {
  const drawn = secret.replace(/^ck_/, '')
  return placeholder.test(secret) || new Set(drawn).size < 6 || /^(.{1,80}?)\1+$/.test(drawn)
}

const placeholder =
  /change[-_ ]?(me|it)|placeholder|example|secret|passw|default|dummy|sample|insert|replace|your[-_ ]|bootstrap|develop|testing|\btest\b|123456|abcdef|qwerty|letmein|postgres|customer|\$\{|\{\{|^<.*>$/i

function refuse(context: z.core.$RefinementCtx): never {
  context.addIssue({ code: 'custom' })
  return z.NEVER
}

/** The same everywhere, or not. */
export type Default = string | { development: string; production: string }
export interface More {
  /** The commands that don't run in production without it. */
  readonly demandedBy?: readonly Command[]
  /** In production, what looks like a placeholder, or chosen by a person, is refused. */
  readonly secret?: true
  /** The heading over it and what follows. */
  readonly begins?: string
}
/** One variable. */
export interface Row<T> extends More {
  readonly form: Form<T>
  readonly otherwise: Default | undefined
  readonly doc: string
}

/** A variable with a default. */
export const row = <T>(of: Form<T>, otherwise: Default, doc: string, more: More = {}): Row<T> => ({ form: of, otherwise, doc, ...more })
/** A variable that may be unset. */
export const open = <T>(of: Form<T>, doc: string, more: More = {}): Row<T | undefined> => ({ form: of, otherwise: undefined, doc, ...more })

type TlsRows<P extends string> = { [N in `${P}_TLS`]: Row<'disable' | 'verify-full' | undefined> } & {
  [N in `${P}_TLS_CA` | `${P}_TLS_CERT` | `${P}_TLS_KEY`]: Row<string | undefined>
}
/** How a dependency is reached: without a word, as safely as can be. */
export const tlsRows = <P extends string>(prefix: P, to: string, elsewhere: string) =>
  ({
    [`${prefix}_TLS`]: open(
      oneOf('disable', 'verify-full'),
      `TLS to ${to}, its certificate and its name verified. Unset: \`verify-full\` in production, else ${elsewhere}.`,
    ),
    [`${prefix}_TLS_CA`]: open(pem, "Who signs its certificate. Unset: Node's own list."),
    [`${prefix}_TLS_CERT`]: open(pem, 'Our certificate towards it.'),
    [`${prefix}_TLS_KEY`]: open(pem, 'The key of that.'),
  }) as TlsRows<P>
