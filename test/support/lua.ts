import { execFileSync, spawnSync } from 'node:child_process'
import { Redis } from 'ioredis'

/** Runs a chunk of Lua 5.1 that returns a string: by LuaJIT, which is Kong's; without one by the Lua that every Redis has. */
export interface Lua {
  readonly how: string
  run(chunk: string): Promise<string>
  close(): void
}

/** undefined: there is neither. */
export function openLua(redisUrl: string | undefined): Lua | undefined {
  if (spawnSync('luajit', ['-v']).status === 0) {
    const run = async (chunk: string) =>
      execFileSync('luajit', ['-'], { input: `io.write((function() ${chunk}\nend)())` }).toString('latin1')
    return { how: 'LuaJIT', run, close: () => {} }
  }
  if (redisUrl === undefined) return undefined
  const redis = new Redis(redisUrl, { lazyConnect: false })
  return {
    how: 'the Lua of Redis',
    run: async (chunk) => ((await redis.callBuffer('EVAL', chunk, 0)) as Buffer).toString('latin1'),
    close: () => redis.disconnect(),
  }
}

/** A value as Lua writes it; texts byte by byte, given as latin1. */
export function luaOf(value: unknown): string {
  if (typeof value === 'string')
    return `"${value.replaceAll(/[^ !#-[\]-~]/g, (sign) => `\\${String(sign.charCodeAt(0)).padStart(3, '0')}`)}"`
  if (Array.isArray(value)) return `{${value.map(luaOf).join(',')}}`
  if (typeof value !== 'object' || value === null) return String(value ?? 'nil')
  return `{${Object.entries(value)
    .filter(([, it]) => it !== undefined)
    .map(([key, it]) => `[${luaOf(key)}]=${luaOf(it)}`)
    .join(',')}}`
}
