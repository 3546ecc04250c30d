import type { Observed } from "../observed.ts";

/** Agents, their declared graph, who really followed whom, and how far the predictions were right. */
export function agents({ flow, source }: Observed) {
  const declared = new Map<string, { from: string; to: string; weight: number }>();
  for (const { edges } of flow.graphs)
    for (const { from, to, weight } of edges) declared.set(JSON.stringify([from, to]), { from, to, weight });
  const transitions = [...flow.transitions()].map(({ from, to, count, said }) => ({
    from,
    to,
    count,
    /** Mean probability given to it, over the transitions from there that had been predicted. */
    said: flow.asked(from) === 0 ? null : said / flow.asked(from),
    declared: take(declared, JSON.stringify([from, to])),
  }));
  const { nextAgent } = source.stats();
  return {
    graphs: [...flow.graphs].map(({ graph }) => graph),
    agents: [...flow.agents].map(([agent, calls]) => {
      const anchor = source.prefixes.anchor(agent);
      return {
        agent,
        calls,
        anchorTokens: anchor?.tokens ?? null,
        sharedHistory: source.predictor.sharedHistory(agent),
      };
    }),
    transitions: [
      ...transitions,
      ...[...declared.values()].map(({ from, to, weight }) => ({
        from,
        to,
        count: 0,
        said: null,
        declared: weight,
      })),
    ],
    nextAgent,
    calibration: flow.bins.map(({ predictions, said, happened }, index) => ({
      from: index / 10,
      to: (index + 1) / 10,
      predictions,
      said: predictions === 0 ? null : said / predictions,
      happened: predictions === 0 ? null : happened / predictions,
    })),
  };
}

function take(declared: Map<string, { readonly weight: number }>, key: string): number | null {
  const weight = declared.get(key)?.weight ?? null;
  declared.delete(key);
  return weight;
}
