/** The recorded requests that Kong passes on, or refuses otherwise, and that development refuses; by why. docs/rest.md says each. */
export const refusals: Readonly<Record<string, readonly string[]>> = {
  'names that the message does not have': [
    'query.name_camel query.name_unknown query.name_empty query.nested query.nested_unknown query.map_dot query.map_bracket',
    'query.repeated_brackets query.repeated_index query.args_100 query.args_101_first query.args_101_last',
    'json.message_unknown_field json.unknown_field json.camel_case json.proto_keys json.deep_999',
  ].flatMap((it) => it.split(' ')),
  'a field, or a name of an object, that is there twice': [
    'query.bool_twice',
    'query.repeated_two',
    'query.repeated_enum_two',
    'json.duplicate_keys',
  ],
  'another value than the path has': [
    'query.overrides_path',
    'query.overrides_path_delete',
    'query.overrides_path_empty',
    'json.body_overrides_path',
  ],
  'a query beside a body, and a body where the query is read': [
    'query.ignored_with_body',
    'query.body_ignored_on_get',
    'query.body_ignored_on_delete',
  ],
  'numbers that are none, have a fraction, or do not fit': [
    'query.int_plus query.int_space query.int_empty query.int_hex query.int_fraction query.int_exponent query.int_overflow',
    'query.int_overflow_big query.int_hash query.uint_negative query.uint_overflow json.int_string_hex json.int_string_spaces',
    'json.int_string_empty json.int_string_fraction json.int_fraction json.int_negative_fraction json.int_overflow',
    'json.uint_negative json.uint_overflow json.list_ints_fraction',
  ].flatMap((it) => it.split(' ')),
  'flags other than true and false (in a query 1 and 0 too)': [
    'query.bool_TRUE query.bool_FALSE query.bool_False query.bool_no query.bool_f query.bool_empty query.bool_bare',
    'json.bool_string_true json.bool_string_false json.bool_string_empty json.bool_0 json.bool_1 json.bool_null json.bool_object',
    'presence.bool_null presence.settings_inner_null',
  ].flatMap((it) => it.split(' ')),
  'enums by a name or number that the contract does not have': [
    'query.enum_unknown_number query.enum_empty json.enum_number_string json.enum_unknown_number json.enum_fraction json.enum_empty',
  ].flatMap((it) => it.split(' ')),
  'times that are not by RFC 3339': [
    'query.time_no_zone query.time_lower query.time_date query.time_space query.time_no_seconds query.time_leap query.time_month13',
    'query.time_epoch_seconds query.time_words json.time_no_zone json.time_date',
  ].flatMap((it) => it.split(' ')),
  'lists for objects, and objects for lists': [
    'json.message_array json.message_empty_array json.list_object json.list_object_indexed json.top_array json.top_array_empty',
  ].flatMap((it) => it.split(' ')),
  'JSON that is none': ['json.string_raw_newline', 'json.int_hex', 'json.int_leading_zero', 'json.int_plus', 'json.nan'],
  'bytes that are no UTF-8, and paths that are not encoded': [
    'decoding.utf8_raw',
    'decoding.utf8_invalid',
    'query.string_invalid_utf8',
    'json.string_invalid_utf8',
  ],
  'heads that are wrong: more than 100 headers, a grpc-timeout that is none, a method that HTTP does not know': [
    'headers.many',
    'headers.grpc_timeout_bad',
    'unknown.connect_like',
  ],
  'answers of the service that are no message': ['answers.not_protobuf', 'answers.invalid_utf8'],
}

/** Where Kong changes a value or hides an error, and development does not. */
export const righter: Readonly<Record<string, { why: string; arrived?: unknown; status: number; body: object }>> = {
  'query.time_nanos': {
    why: 'the last digit of nanoseconds',
    arrived: { create_time_after: '2024-01-02T03:04:05.678901234Z' },
    status: 200,
    body: {},
  },
  'query.time_before_epoch': {
    why: 'times before 1970',
    arrived: { create_time_after: '1969-12-31T23:59:59.500Z' },
    status: 200,
    body: {},
  },
  'json.time_before_epoch': { why: 'times before 1970', arrived: { expire_time: '1969-12-31T23:59:58.500Z' }, status: 200, body: {} },
  'answers.map_key_time': {
    why: 'no Z behind values of maps',
    status: 200,
    body: { labels: { last_time: '2024-01-02T03:04:05' } },
  },
  'after_headers.INVALID_ARGUMENT': {
    why: 'an error behind initial metadata',
    status: 400,
    body: { code: 3, message: 'invalid_argument late' },
  },
  'after_headers.NOT_FOUND': { why: 'an error behind initial metadata', status: 404, body: { code: 5 } },
  'after_headers.INTERNAL': { why: 'an error behind initial metadata', status: 500, body: { code: 13 } },
  'after_headers.NOT_FOUND.h2': { why: 'an error behind initial metadata', status: 404, body: { code: 5 } },
  'after_headers.empty_initial': { why: 'an error behind initial metadata', status: 404, body: { code: 5 } },
  'after_headers.on_post': { why: 'an error behind initial metadata', status: 409, body: { code: 6 } },
  'after_headers.details': { why: 'an error behind initial metadata', status: 400, body: { code: 3, details: [{ reason: 'X' }] } },
}
