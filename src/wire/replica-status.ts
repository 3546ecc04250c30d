import type { EngineAdapter, EngineStatus, PromptTotals, ReplicaStatus } from "../runtime/engine.ts";

/** What several servers hold and do, each and together. Rejects when none of them answers. */
export async function replicaStatus(
  adapters: readonly Pick<EngineAdapter, "baseURL" | "status">[],
  signal?: AbortSignal,
): Promise<EngineStatus> {
  const answers = await Promise.allSettled(adapters.map(async (adapter) => adapter.status?.(signal)));
  const replicas = answers.map((answer, index): ReplicaStatus => {
    const { baseURL } = adapters[index] as (typeof adapters)[number];
    if (answer.status === "rejected") return { baseURL, isUp: false };
    return { baseURL, isUp: true, ...(answer.value && { status: answer.value }) };
  });
  const refusal = answers.find((answer) => answer.status === "rejected");
  if (refusal && replicas.every(({ isUp }) => !isUp)) throw refusal.reason;
  const told = replicas.flatMap(({ status }) => status ?? []);
  return { ...together(told), replicas };
}

/** The sums; a number that one of them does not tell is not known of all. */
function together(all: readonly EngineStatus[]): EngineStatus {
  const sum = (of: (status: EngineStatus) => number | undefined): number | undefined => {
    const values = all.flatMap((status) => of(status) ?? []);
    return values.length === 0 || values.length < all.length
      ? undefined
      : values.reduce((total, value) => total + value, 0);
  };
  const served = known({
    requests: sum(({ served: of }) => of?.requests),
    promptTokens: sum(({ served: of }) => of?.promptTokens),
    cachedTokens: sum(({ served: of }) => of?.cachedTokens),
  });
  const [computed, used, wasted] = [
    sum(({ prefetch }) => prefetch?.computed),
    sum(({ prefetch }) => prefetch?.used),
    sum(({ prefetch }) => prefetch?.wasted),
  ];
  return {
    ...known({
      capacityTokens: sum(({ capacityTokens }) => capacityTokens),
      residentTokens: sum(({ residentTokens }) => residentTokens),
      running: sum(({ running }) => running),
      waiting: sum(({ waiting }) => waiting),
    }),
    ...(Object.keys(served).length > 0 && { served }),
    ...(computed !== undefined &&
      used !== undefined &&
      wasted !== undefined && { prefetch: { computed, used, wasted } }),
  };
}

function known<Key extends string>(
  numbers: Readonly<Record<Key, number | undefined>>,
): Partial<Record<Key, number>> {
  return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)) as Partial<
    Record<Key, number>
  >;
}

/** The sum of several totals. */
export function addedUp(all: readonly PromptTotals[]): PromptTotals {
  const sum = (key: keyof PromptTotals): number => all.reduce((total, { [key]: value }) => total + value, 0);
  return { requests: sum("requests"), promptTokens: sum("promptTokens"), cachedTokens: sum("cachedTokens") };
}
