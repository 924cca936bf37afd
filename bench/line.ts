/** One row of the table. */
export interface Line {
  readonly operation: string
  readonly ours: string
  readonly limit: string
  /** What is compared with the goal, as it is shown. */
  readonly result: string
  /** '' where PERFORMANCE names none. */
  readonly goal: string
  /** undefined: there is no goal. */
  readonly reached?: boolean
}

export const rate = (perSecond: number) => `${perSecond >= 1000 ? `${(perSecond / 1000).toFixed(1)} k` : perSecond.toFixed(0)}/s`
export const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} ms`
export const us = (value: number) => `${value.toFixed(0)} µs`
export const times = (ratio: number) => `${ratio.toFixed(2)} ×`

const mark = ({ reached }: Line) => (reached === undefined ? ' ' : reached ? '✓' : '✗')

/** For a terminal, and as it stands for Markdown. */
export function table(lines: readonly Line[]): string {
  const rows = [
    ['', 'ours', 'the limit', 'result', 'goal', ''],
    ...lines.map((line) => [line.operation, line.ours, line.limit, line.result, line.goal, mark(line)]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const show = (row: readonly string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`
  const [head, ...rest] = rows.map(show)
  return [head, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rest].join('\n')
}
