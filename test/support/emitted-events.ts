import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { eventDefinition } from '../../server/contract/event-catalogue.js'
import { jsonSchemaOf } from '../../server/contract/json-schema.js'
import { connectOnce } from '../../server/db/connect.js'

const validators = new Map<string, ValidateFunction | undefined>()
const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true })
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)

function validatorOf(type: string): ValidateFunction | undefined {
  if (!validators.has(type)) {
    const definition = eventDefinition(type)
    const schema = definition && jsonSchemaOf(definition.desc, { id: definition.dataschema, description: definition.description })
    validators.set(type, schema && ajv.compile(schema))
  }
  return validators.get(type)
}

/**
 * Holds every event of a database against its catalogue, and every tenant's sequence against gaps (C-080).
 * @returns what is wrong, a line each; events whose id begins `evt_bad` were put in by a test, to be wrong
 */
export async function wrongEvents(superuserUrl: string): Promise<string[]> {
  const client = await connectOnce(superuserUrl)
  try {
    const wrong: string[] = []
    const { rows } = await client.query(`select id, tenant_id, stream, sequence::int, type, payload, time,
      lag(sequence::int, 1, 0) over w as before, lag(time) over w as earlier
      from platform.events window w as (partition by tenant_id, stream order by sequence)`)
    for (const { id, tenant_id, sequence, type, payload, time, before, earlier } of rows) {
      const name = `${type} ${sequence} of ${tenant_id}`
      if (sequence !== before + 1) wrong.push(`${name}: comes behind ${before}`)
      if (earlier && time < earlier) wrong.push(`${name}: its time runs backwards`)
      if (String(id).startsWith('evt_bad')) continue
      const validate = validatorOf(type)
      if (!validate) wrong.push(`${name}: is in no catalogue`)
      else if (!validate(JSON.parse(payload))) wrong.push(`${name}: ${ajv.errorsText(validate.errors)}`)
    }
    return wrong
  } finally {
    await client.end()
  }
}
