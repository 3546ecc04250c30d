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
