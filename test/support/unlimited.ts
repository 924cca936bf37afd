const plenty = 'read=100000000,list=100000000,write=100000000,onboard=100000000,stream=100000000'

/** For servers on which one key makes all the calls of a run. */
export const unlimited = { RATE_LIMITS_KEY: plenty, RATE_LIMITS_PRINCIPAL: plenty, RATE_LIMITS_ADDRESS: plenty }
