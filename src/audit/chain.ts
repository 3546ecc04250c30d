import { createHash, createHmac } from "node:crypto";

/** What one line of an audit log says, besides its place in the chain. */
export type AuditEntry = Readonly<Record<string, unknown>>;

/** Where a chain ends. */
export interface ChainEnd {
  /** Entries so far. */
  readonly count: number;
  /** Hash of the last one; empty before the first. */
  readonly hash: string;
}

/** What a check of a log found. */
export interface AuditCheck {
  readonly entries: number;
  /** Hash of the last entry that is in order: kept elsewhere, it proves that nothing after it was cut off. */
  readonly head: string;
  /** The log ends with the entry that its writer wrote when it was closed; else its end may be missing. */
  readonly isClosed: boolean;
  /** The first line, counted from 1, that is not as it was written, and how that is known. */
  readonly problem?: { readonly line: number; readonly what: string };
}

export const EMPTY_CHAIN: ChainEnd = { count: 0, hash: "" };
/** `verdict` of the entry that closes a log. */
export const CLOSED = "closed";

/**
 * One more line of a log. Each entry commits to its number and, by hash, to all before it, so that none can be changed, left
 * out or moved without all after it being wrong.
 *
 * @param key with one, the hashes are HMACs: whoever has the file but not the key cannot write the chain anew.
 */
export function chained(
  end: ChainEnd,
  entry: AuditEntry,
  key?: string,
): { readonly line: string; readonly end: ChainEnd } {
  const body = { number: end.count + 1, previous: end.hash, ...entry };
  const hash = hashOf(JSON.stringify(body), key);
  return { line: JSON.stringify({ ...body, hash }), end: { count: body.number, hash } };
}

/** The end of the chain that a line belongs to; undefined when it is no line of a log. */
export function chainEnd(line: string): ChainEnd | undefined {
  const entry = parsed(line);
  if (typeof entry?.["number"] !== "number" || typeof entry["hash"] !== "string") return undefined;
  return { count: entry["number"], hash: entry["hash"] };
}

/** Checks a whole log, line by line. */
export async function checkChain(
  lines: AsyncIterable<string> | Iterable<string>,
  key?: string,
): Promise<AuditCheck> {
  let end = EMPTY_CHAIN;
  let isClosed = false;
  let at = 0;
  for await (const line of lines) {
    at++;
    const { entry, what } = checked(line, end, key);
    if (!entry) return { entries: end.count, head: end.hash, isClosed: false, problem: { line: at, what } };
    end = { count: end.count + 1, hash: String(entry["hash"]) };
    isClosed = entry["verdict"] === CLOSED;
  }
  return { entries: end.count, head: end.hash, isClosed };
}

function checked(
  line: string,
  end: ChainEnd,
  key: string | undefined,
): { readonly entry?: AuditEntry; readonly what: string } {
  const entry = parsed(line);
  if (!entry) return { what: "is no JSON object" };
  if (typeof entry["number"] !== "number" || typeof entry["hash"] !== "string")
    return { what: "is no entry of an audit log" };
  const { hash, ...body } = entry;
  if (body["number"] !== end.count + 1)
    return { what: `is entry ${String(body["number"])} where ${end.count + 1} belongs` };
  if (body["previous"] !== end.hash) return { what: "does not follow the entry before it" };
  if (hash !== hashOf(JSON.stringify(body), key)) return { what: "was changed, or hashed with another key" };
  return { entry, what: "" };
}

function hashOf(text: string, key: string | undefined): string {
  const hash = key === undefined ? createHash("sha256") : createHmac("sha256", key);
  return hash.update(text).digest("hex");
}

function parsed(line: string): AuditEntry | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as AuditEntry)
      : undefined;
  } catch {
    return undefined;
  }
}
