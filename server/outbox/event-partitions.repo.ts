import { type Statement, statement } from '../db/statement.js'

/** Makes the weeks that are missing, from this one on. */
export const makeWeeks = (weeks: number): Statement => statement('select lib.make_event_partitions($1::integer) as made', [weeks])

/** Drops the weeks that ended `keepDays` ago or earlier, but for those that the relay has not sent; returns how many of both. */
export const dropWeeks = (keepDays: number): Statement =>
  statement('select dropped, kept from lib.drop_event_partitions($1::integer)', [keepDays])

/** How many weeks after the present one have their partition. */
export const countWeeksAhead = (): Statement => statement('select lib.event_weeks_ahead() as ahead')
