import { addressKey } from './address-key.js'
import type { Cache, Rate } from './cache.js'

/** Calls a minute, by whose they are and their class: `{ key: { READ: 6000, … }, address: … }`. */
export function rateLimitsOver<By extends string, Class extends string>(
  cache: Pick<Cache, 'rateLimiter'>,
  perMinute: Readonly<Record<By, Readonly<Record<Class, number>>>>,
): (by: By, rateClass: Class, who: string) => Rate | Promise<Rate> {
  const limiters = new Map(
    (Object.keys(perMinute) as By[]).flatMap((by) =>
      (Object.keys(perMinute[by]) as Class[]).map((rateClass) => {
        const name = `${by}:${rateClass.toLowerCase()}`
        return [name, cache.rateLimiter({ name, points: perMinute[by][rateClass], durationS: 60 })] as const
      }),
    ),
  )
  return (by, rateClass, who) => limiters.get(`${by}:${rateClass.toLowerCase()}`)!.take(by === 'address' ? addressKey(who) : who)
}
