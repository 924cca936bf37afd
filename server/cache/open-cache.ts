import type { Cache } from './cache.js'
import { openMemoryCache } from './memory-cache.js'
import { openRedisCache, type RedisCacheOptions } from './redis-cache.js'

/** Returns at once, also where Redis is away: `ping` tells. Without a URL all is kept in memory. */
export function openCache({ url, ...options }: Omit<RedisCacheOptions, 'url'> & { readonly url?: string | undefined }): Cache {
  return url === undefined ? openMemoryCache() : openRedisCache({ url, ...options })
}
