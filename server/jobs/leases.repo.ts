import { type Statement, statement } from '../db/statement.js'

/**
 * Takes each of these leases that is free, run out or ours, until `ttlMs` from now; returns name and epoch of those that are ours then. A lease that ran
 * out counts as given away, also where nobody else took it. Time is the transaction's: a wait for the row makes it only earlier, never later.
 */
export const takeLeases = (names: readonly string[], holder: string, ttlMs: number): Statement =>
  statement(
    `insert into platform.leases as l (name, holder, epoch, expire_time)
     select n.name, $2, 1, now() + $3::integer * interval '1 millisecond' from unnest($1::text[]) n(name) order by n.name
     on conflict (name) do update set holder = excluded.holder, expire_time = excluded.expire_time,
       epoch = l.epoch + case when l.holder = excluded.holder and l.expire_time > now() then 0 else 1 end
     where l.holder = excluded.holder or l.expire_time <= now()
     returning l.name, l.epoch`,
    [names, holder, ttlMs],
  )

/** Lets the others have them at once. */
export const releaseLeases = (names: readonly string[], holder: string): Statement =>
  statement(`update platform.leases set expire_time = '-infinity' where name = any ($1::text[]) and holder = $2`, [names, holder])
