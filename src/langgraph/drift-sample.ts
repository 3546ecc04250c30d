/** Agents whose prompts are watched for drift; of those that come later none is. */
export const MAX_AGENTS = 256;
/** An agent may have so many anchors before they count as drift. */
export const VARIANTS = 2;
/** Requests of an agent that are looked at, and of those after them every so many-th. */
const FIRST_REQUESTS = 16;
const EVERY = 32;

/** @param request number of the request among its agent's, from 1 on. */
export function isLookedAt(request: number): boolean {
  return request <= FIRST_REQUESTS || request % EVERY === 0;
}
