import { prefixId, type PrefixRef } from "../../runtime/action.ts";
import type { PrefixSubject } from "../../runtime/policy.ts";
import { withoutKeys } from "../address.ts";
import type { Observed } from "../observed.ts";

/** Runs whose prefixes are listed. */
const MAX_RUNS = 40;

interface LastWord {
  readonly at: number;
  readonly verb: string;
  readonly value: number | null;
  readonly until: number | null;
}

/** The prefixes that may be used again: what they are worth now, and what the engine was last told. */
export function cache({ source, runs, history, capacityTokens, residentTokens, caches }: Observed) {
  const now = source.clock.now();
  const words = lastWords(source.ledger);
  const row = (prefix: PrefixSubject) => {
    const { agent, run, branch, tokens, usedAt } = prefix;
    const value = source.predictor.reuse(prefix);
    return {
      agent,
      run: run ?? null,
      /** Which of its agent's prompts in the run, from 1 on; null for the first one. */
      branch: branch ?? null,
      tokens,
      usedMsAgo: Math.max(0, now - usedAt),
      value,
      /** Of its run, or rounds of all open runs for an anchor; null: none is expected. */
      expectedSteps: value > 0 ? Math.max(1, (1 - value) / value) : null,
      soonestMs: run === undefined ? 0 : source.predictor.soonest(run),
      told: words.get(prefixId(prefix)) ?? null,
    };
  };
  const open = runs.newest.filter(({ endedAt }) => endedAt === undefined).slice(0, MAX_RUNS);
  const live = open.flatMap(({ run }) => source.prefixes.of(run)).map(row);
  return {
    now,
    openRuns: source.prefixes.openRuns,
    shownRuns: open.length,
    anchors: [...source.prefixes.anchors()].map(row).toSorted((a, b) => b.value - a.value),
    prefixes: live.toSorted((a, b) => b.value - a.value),
    capacityTokens: capacityTokens ?? null,
    residentTokens: residentTokens ?? null,
    /** Where blocks are, by events: tiers of each cache. */
    tiers: caches.caches.flatMap(
      ({ source: name, worker, media, residentBlocks, residentTokens: tokens, isComplete }) =>
        Object.entries(media).map(([medium, blocks]) => ({
          cache: withoutKeys(worker ?? name),
          medium,
          blocks,
          tokens: residentBlocks === 0 ? 0 : Math.round((blocks * tokens) / residentBlocks),
          isComplete,
        })),
    ),
    bucketMs: history.width,
    occupancy: history.buckets.map(({ occupancy }) => occupancy),
  };
}

/** What was last decided about each prefix, as far back as the ledger goes. */
function lastWords(ledger: Observed["source"]["ledger"]): ReadonlyMap<string, LastWord> {
  const words = new Map<string, LastWord>();
  for (const { action, at, outcome } of ledger) {
    if (!("prefix" in action) || action.type === "prefetch" || action.type === "cancel") continue;
    if (outcome?.status === "dropped") continue;
    const id = prefixId(action.prefix as PrefixRef);
    if (words.has(id)) continue;
    const ttlMs = "ttlMs" in action ? action.ttlMs : undefined;
    words.set(id, {
      at,
      verb: action.type,
      value: "value" in action ? action.value : null,
      until: ttlMs === undefined ? null : at + ttlMs,
    });
  }
  return words;
}
