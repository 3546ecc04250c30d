/**
 * Several streams as one, in the order in which things come. Each stream is asked for its next item only after the one
 * before was taken, so nothing piles up here. Ends with the signal, or when all have ended; a stream that throws ends all.
 */
export async function* mergeEvents<T>(
  streams: readonly AsyncIterable<T>[],
  signal?: AbortSignal,
): AsyncGenerator<T> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  const ask = async (index: number) => ({
    index,
    result: await (iterators[index] as AsyncIterator<T>).next(),
  });
  const pending = new Map(iterators.map((_, index) => [index, ask(index)]));
  try {
    while (pending.size > 0) {
      if (signal?.aborted) return;
      const { index, result } = await Promise.race(pending.values());
      if (result.done === true) {
        pending.delete(index);
      } else {
        pending.set(index, ask(index));
        yield result.value;
      }
    }
  } finally {
    for (const promise of pending.values()) promise.catch(() => {});
    for (const iterator of iterators) void iterator.return?.();
  }
}
