/** Calls what is not ours; what it throws is a fault, and so is a rejection where a user's callback is async. */
export function contained<T>(
  use: () => T,
  fault?: (where: string, error: unknown) => void,
  where = "callback",
): T | undefined {
  try {
    const result = use();
    if (result instanceof Promise) result.catch((error: unknown) => fault?.(where, error));
    return result;
  } catch (error) {
    fault?.(where, error);
    return undefined;
  }
}

/** Ends parts one after the other, each whatever became of those before it. Never rejects. @param fault told what one failed with. */
export async function endAll(
  parts: Readonly<Record<string, () => unknown>>,
  fault: (where: string, error: unknown) => void,
): Promise<void> {
  for (const [where, end] of Object.entries(parts)) {
    try {
      await end();
    } catch (error) {
      fault(where, error);
    }
  }
}
