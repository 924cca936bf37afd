import { describe, expect, it } from 'vitest'
import { ensureTopics, TopicsMissing, topicOfStream, topicsOf } from '../../server/outbox/topics.js'

function admin(there: readonly string[]) {
  const made: [readonly string[], number][] = []
  return {
    made,
    listTopics: async () => [...there],
    createTopics: async (topics: readonly string[], partitions: number) => void made.push([topics, partitions]),
  }
}

describe('topics', () => {
  it('have the names of the contract, with the prefix in front', () => {
    expect(topicsOf('t1.')).toEqual({
      byStream: {
        domain: 't1.customer-management.domain.v1',
        security: 't1.customer-management.security.v1',
        platform: 't1.customer-management.platform.v1',
      },
      replay: 't1.customer-management.replay.v1',
      all: [
        't1.customer-management.domain.v1',
        't1.customer-management.security.v1',
        't1.customer-management.platform.v1',
        't1.customer-management.replay.v1',
        't1.customer-management.domain.dead-letters.v1',
        't1.customer-management.security.dead-letters.v1',
        't1.customer-management.platform.dead-letters.v1',
      ],
    })
    expect(topicOfStream('domain')).toBe(topicsOf('').byStream.domain)
  })

  it('development makes those that are missing, and no others', async () => {
    const topics = topicsOf('')
    const kafka = admin(topics.all.slice(1))
    expect(await ensureTopics(kafka, topics, { create: true, partitions: 3 })).toEqual([topics.all[0]])
    expect(kafka.made).toEqual([[[topics.all[0]], 3]])
  })

  it('nothing is made where all are there', async () => {
    const kafka = admin([...topicsOf('').all, 'others'])
    expect(await ensureTopics(kafka, topicsOf(''), { create: true, partitions: 3 })).toEqual([])
    expect(kafka.made).toEqual([])
  })

  it('production makes none, and names what is missing', async () => {
    const topics = topicsOf('p.')
    const kafka = admin(topics.all.slice(2))
    await expect(ensureTopics(kafka, topics, { create: false, partitions: 12 })).rejects.toThrow(
      new TopicsMissing(
        'Kafka lacks 2 topics: p.customer-management.domain.v1, p.customer-management.security.v1; create them, each with 12 partitions',
      ),
    )
    expect(kafka.made).toEqual([])
  })
})
