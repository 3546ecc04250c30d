/** Reads a stream to its end and returns how many values it had. */
export async function drain(stream: AsyncIterable<unknown>): Promise<number> {
  const values = stream[Symbol.asyncIterator]();
  let count = 0;
  while ((await values.next()).done !== true) count++;
  return count;
}
