import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { openMemoryCache } from '../../server/cache/memory-cache.js'
import { createKicks, type KickChannel } from '../../server/outbox/kick.js'

function replica(bus: KickChannel) {
  const heard: string[][] = []
  const kicks = createKicks(bus)
  kicks.listen((names) => heard.push([...names]))
  return { kicks, heard }
}

describe('kicks', () => {
  it('reach this process and the other replicas, each once', async () => {
    const bus = openMemoryCache()
    const [a, b] = [replica(bus), replica(bus)]
    a.kicks.kick('tnt_1')
    a.kicks.kick('tnt_2')
    a.kicks.kick('tnt_1')
    for (let i = 0; i < 5; i++) await turn()
    expect(a.heard).toEqual([['tnt_1', 'tnt_2']])
    expect(b.heard).toEqual([['tnt_1', 'tnt_2']])
    b.kicks.kick('tnt_3')
    for (let i = 0; i < 5; i++) await turn()
    expect(a.heard.at(-1)).toEqual(['tnt_3'])
    expect(b.heard).toHaveLength(2)
  })

  it('what no replica of ours sent is ignored', async () => {
    const bus = openMemoryCache()
    const { heard, kicks } = replica(bus)
    for (const text of [
      '',
      'x',
      '{}',
      '[]',
      'null',
      '{"from":"x","tenants":[1]}',
      '{"from":"x","tenants":"tnt_1"}',
      `{"from":"x","tenants":["${'y'.repeat(41)}"]}`,
    ]) {
      bus.publish('commits', text)
    }
    for (let i = 0; i < 5; i++) await turn()
    expect(heard).toEqual([])
    kicks.stop()
    bus.publish('commits', '{"from":"x","tenants":["tnt_1"]}')
    for (let i = 0; i < 5; i++) await turn()
    expect(heard).toEqual([])
  })
})
