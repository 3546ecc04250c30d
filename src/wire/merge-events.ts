/**
 * Several streams as one, in the order in which things come. Each stream is asked for its next item only after the one
 * before was taken, so nothing piles up here, however long one of them is silent. Ends with the signal, or when all have
 * ended; a stream that throws ends all.
 */
export async function* mergeEvents<T>(
  streams: readonly AsyncIterable<T>[],
  signal?: AbortSignal,
): AsyncGenerator<T> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  /** At most one of each stream. Racing their promises instead would hang a little of each item on the silent ones. */
  const came: { readonly iterator: AsyncIterator<T>; readonly next: Promise<IteratorResult<T>> }[] = [];
  let wake: (() => void) | undefined;
  const ask = (iterator: AsyncIterator<T>): void => {
    const next = iterator.next();
    const put = (): void => {
      came.push({ iterator, next });
      wake?.();
    };
    next.then(put, put);
  };
  for (const iterator of iterators) ask(iterator);
  let open = iterators.length;
  try {
    while (open > 0) {
      if (signal?.aborted) return;
      const first = came.shift();
      if (!first) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      const { done, value } = await first.next;
      if (done === true) {
        open--;
      } else {
        ask(first.iterator);
        yield value;
      }
    }
  } finally {
    for (const iterator of iterators) void iterator.return?.();
  }
}
