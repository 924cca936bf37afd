// A consumer as a process of its own, to be killed in its handler. Run by test/solo/sdk-consumer-faults.test.ts: <brokers> <topic prefix> <group>.
import { Kafka } from 'kafkajs'
import { createConsumer } from '../../clients/typescript/src/events/index.js'

const [, , brokers, topicPrefix, groupId] = process.argv
await createConsumer({
  kafka: new Kafka({ brokers: brokers!.split(','), clientId: 'consumer-process' }),
  groupId: groupId!,
  topicPrefix: topicPrefix!,
  onGap: () => {},
  handler: async ({ sequence }) => {
    process.stdout.write(`has ${Number(sequence)}\n`)
    if (Number(sequence) === 2) await new Promise(() => {})
  },
}).run()
