import { quantile } from "simple-statistics";
import type { Observed } from "../observed.ts";

/** Which policies are at work, with which options, what each hook of theirs costs, and their faults. */
export function policies({ source, hookTimes, faults }: Observed) {
  const { decisionUs } = source.stats();
  const decided = new Map<string, number>();
  for (const { policy } of source.ledger) decided.set(policy, (decided.get(policy) ?? 0) + 1);
  return {
    cacheHints: source.cacheHints,
    kind: source.kind,
    policies: source.policies.map(({ name, description, options, isLeftOut }) => ({
      name,
      isLeftOut: isLeftOut(),
      description,
      options: JSON.parse(JSON.stringify(options ?? {})) as unknown,
      decisions: decided.get(name) ?? 0,
      hooks: [...(hookTimes.get(name)?.hooks ?? [])].map(([hook, { calls, total, longest }]) => ({
        hook,
        calls,
        meanUs: calls === 0 ? null : (total / calls) * 1000,
        longestUs: longest * 1000,
      })),
      faults: [...faults].flatMap(([kind, count]) =>
        kind.startsWith(`policy ${name}.`) ? [{ kind, count }] : [],
      ),
    })),
    off: source.policiesOff,
    decision: decisionUs.length === 0 ? null : summary(decisionUs),
  };
}

function summary(decisionUs: readonly number[]) {
  const [p50 = 0, p95 = 0, p99 = 0] = quantile([...decisionUs], [0.5, 0.95, 0.99]);
  return { count: decisionUs.length, p50, p95, p99 };
}
