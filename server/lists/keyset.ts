/** How many rows a page has: 50 where nothing was asked for, never more than 500. */
export function pageSizeOf(asked: number): number {
  return asked <= 0 ? 50 : Math.min(asked, 500)
}

export interface Page<Row> {
  readonly rows: readonly Row[]
  /** The sort values of the last row; undefined: there are no more. */
  readonly next: readonly string[] | undefined
}

/** Cuts what a query with `limit pageSize + 1` found. The one row too many tells that there is another page, and is read again there. */
export function cutPage<Row>(found: readonly Row[], pageSize: number, cursorOf: (row: Row) => readonly string[]): Page<Row> {
  const rows = found.slice(0, pageSize)
  const last = rows.at(-1)
  return { rows, next: found.length > pageSize && last !== undefined ? cursorOf(last) : undefined }
}
