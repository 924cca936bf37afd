import { always, rows } from './config.js'
import type { Command, Row } from './config-forms.js'

/** `docs/configuration.md`, whole. */
export function configurationPage(): string {
  const lines = [
    '<!-- Made from server/config.ts by `npm run gen`: edit there. -->',
    '# Configuration',
    'By environment variables alone. They are read once, at start, as a whole: a mistake ends the process with exit code 78 and a message that names',
    'every one of them, and never shows a value. An empty variable counts as unset.',
  ]
  for (const [name, { begins, form, otherwise, doc, demandedBy }] of Object.entries<Row<unknown>>(rows)) {
    if (begins) lines.push('', `## ${begins}`, '| variable | value | default | |', '|---|---|---|---|')
    const shown =
      typeof otherwise === 'object'
        ? `\`${otherwise.development}\`; in production \`${otherwise.production}\``
        : otherwise
          ? `\`${otherwise}\``
          : ''
    const named = (commands: readonly Command[] = []) => commands.map((each) => `\`${each}\``).join(', ')
    const [inProduction, everywhere] = [named(demandedBy?.filter((each) => !always(each))), named(demandedBy?.filter(always))]
    const demanded =
      (inProduction ? `Demanded in production by ${inProduction}. ` : '') + (everywhere ? `Demanded always by ${everywhere}. ` : '')
    lines.push(`| \`${name}\` | ${form[0].replaceAll('|', '\\|')} | ${shown} | ${demanded}${doc.replaceAll('|', '\\|')} |`)
  }
  return `${lines.join('\n')}\n`
}
