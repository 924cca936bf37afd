/** One statement of a script, at its place. Comments and strings are blanked, so that words found in it are SQL's own; keywords are in lower case. */
export interface Piece {
  readonly text: string
  /** Where it begins in the script. */
  readonly at: number
  /** It stands in the body of a function or of DO. */
  readonly inBody: boolean
}

/** The statements of a script; those of its function bodies stand behind the statement that holds them. */
export function piecesOf(script: string): readonly Piece[] {
  return split(script, 0, false)
}

export const lineOf = (script: string, at: number): number => script.slice(0, at).split('\n').length

/** From `from` to the end of its statement, or of the parenthesis that it stands in. */
export function clauseFrom(text: string, from: number): string {
  let depth = 0
  for (let i = from; i < text.length; i++) {
    if (text[i] === '(') depth++
    else if (text[i] === ')' && --depth < 0) return text.slice(from, i)
  }
  return text.slice(from)
}

/** Parts between the commas that no parenthesis encloses. */
export function listOf(text: string): readonly { text: string; at: number }[] {
  const parts: { text: string; at: number }[] = []
  let depth = 0
  let from = 0
  for (let i = 0; i <= text.length; i++) {
    if (text[i] === '(') depth++
    else if (text[i] === ')') depth--
    else if (i === text.length || (text[i] === ',' && depth === 0)) {
      const part = text.slice(from, i)
      parts.push({ text: part.trim(), at: from + part.length - part.trimStart().length })
      from = i + 1
    }
  }
  return parts
}

const blank = (text: string) => text.replaceAll(/[^\n]/g, ' ')
/** What is not SQL's own words: comments, strings, dollar-quoted bodies; and names in quotes, which stay as they are. */
const foreign = /--[^\n]*|\/\*[\s\S]*?\*\/|\be'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(\w*)\$([\s\S]*?)\$\1\$|"[^"]*"/gi

function split(script: string, offset: number, inBody: boolean): Piece[] {
  const bodies: { text: string; at: number }[] = []
  let masked = ''
  let reached = 0
  for (const match of script.matchAll(foreign)) {
    masked += script.slice(reached, match.index).toLowerCase()
    reached = match.index + match[0].length
    masked += match[0].startsWith('"') ? match[0] : blank(match[0])
    if (match[2] !== undefined) bodies.push({ text: match[2], at: match.index + (match[1] ?? '').length + 2 })
  }
  masked += script.slice(reached).toLowerCase()
  const pieces: Piece[] = []
  let from = 0
  for (const part of masked.split(';')) {
    const at = from + part.length - part.trimStart().length
    if (part.trim() !== '') pieces.push({ text: part.trim(), at: offset + at, inBody })
    const end = from + part.length
    for (const body of bodies.filter((each) => each.at >= from && each.at < end)) pieces.push(...split(body.text, offset + body.at, true))
    from = end + 1
  }
  return pieces
}
