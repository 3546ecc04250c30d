/** Actions taken from one call of a policy's `act`; one that returns more has run wild. */
export const MAX_ACTIONS = 10_000;

/** What a hook returned, which has to be there at once; what a promise rejects with would otherwise end the process. */
export function atOnce<T>(result: T): T {
  if (!(result instanceof Promise)) return result;
  result.catch(() => {});
  throw new Error("returned a promise; hooks are synchronous");
}
