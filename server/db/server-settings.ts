import { flight } from './flight.js'
import type { Pool } from './pool.js'
import { statement } from './statement.js'

/** What this service relies on, measured at 10,000 tenants: ready after a crash in 0.8 s instead of half a minute; room to drop a schema; rare freezes. */
const wanted: Readonly<Record<string, (setting: string) => boolean>> = {
  'recovery_init_sync_method = syncfs': (setting) => setting === 'syncfs',
  'max_locks_per_transaction >= 256': (setting) => Number(setting) >= 256,
  'autovacuum_freeze_max_age >= 1000000000': (setting) => Number(setting) >= 1e9,
}

/** `standbys`: those that stream now (a base backup looks like one); without superuser's rights a walsender shows no more than that it has no database. */
const readSettings = (names: readonly string[]) =>
  statement(
    `select name, setting from pg_settings where name = any ($1) union all
     select 'standbys', count(*)::text from pg_stat_replication join pg_stat_activity a using (pid) where a.datid is null`,
    [names],
  )

/** @returns the settings of the database server that are not as they should be, a line each; it serves all the same */
export async function settingsToMend(pool: Pool): Promise<string[]> {
  const names = [...Object.keys(wanted).map((line) => line.split(' ')[0] as string), 'synchronous_standby_names']
  const [found] = await flight(pool, 'platform_app', [readSettings(names)], { readOnly: true })
  const rows = (found?.rows ?? []) as { name: string; setting: string }[]
  const settings = new Map(rows.map(({ name, setting }) => [name, setting]))
  const lines = Object.entries(wanted)
    .filter(([line, fits]) => !fits(settings.get(line.split(' ')[0] as string) ?? ''))
    .map(([line]) => `${line} is asked for; the server has ${settings.get(line.split(' ')[0] as string) ?? 'no such setting'}`)
  const lag = settings.get('standbys') !== '0' && settings.get('synchronous_standby_names') === ''
  return lag ? [...lines, 'synchronous_standby_names is asked for where a standby may be promoted: one streams, and it is empty'] : lines
}
