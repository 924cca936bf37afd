/** A list, fetched page by page as it is read; every `for await` begins anew. */
export interface Listing<Item, Page> extends AsyncIterable<Item> {
  /** The answers themselves, e.g. to keep a page token. */
  pages(): AsyncIterable<Page>
}

/** `fetch` answers one page; `next` tells the request of the page behind it, undefined after the last. */
export function listing<Q, Page, Item>(
  first: Q,
  fetch: (request: Q) => Promise<Page>,
  items: (page: Page) => readonly Item[],
  next: (request: Q, page: Page) => Q | undefined,
): Listing<Item, Page> {
  async function* pages() {
    for (let request: Q | undefined = first; request !== undefined; ) {
      const page: Page = await fetch(request)
      yield page
      request = next(request, page)
    }
  }
  return {
    pages,
    async *[Symbol.asyncIterator]() {
      for await (const page of pages()) yield* items(page)
    },
  }
}

/** AIP-158. */
export const byPageToken = <Q extends { pageToken: string }>(request: Q, page: { nextPageToken: string }): Q | undefined =>
  page.nextPageToken === '' ? undefined : { ...request, pageToken: page.nextPageToken }

/** To the end of what is committed: an answer may be short or, with a filter, empty before that, so only a cursor that stands still ends it. */
export const bySequence = <Q extends { afterSequence: string }>(request: Q, page: { lastSequence: string }): Q | undefined =>
  BigInt(page.lastSequence) > BigInt(request.afterSequence) ? { ...request, afterSequence: page.lastSequence } : undefined

/** Of an answer that is never paged. */
export const wholeInOne = (): undefined => undefined
