import { type Action, prefixId } from "./action.ts";

/** An action with the policy that wants it; position in the list is policy order. */
export interface Proposal {
  readonly policy: string;
  readonly action: Action;
}

export interface Arbitration {
  readonly kept: readonly Proposal[];
  readonly dropped: readonly { readonly proposal: Proposal; readonly reason: string }[];
}

/**
 * Merges what several policies want into one action per prefix and verb.
 *
 * On one prefix `release` and `evict` give way to `retain` and `pin` of another policy (a hit lost costs more
 * than space kept), `cancel` gives way to `prefetch`, and of two values the higher wins. Ties break by policy order.
 */
export function arbitrate(proposals: readonly Proposal[]): Arbitration {
  if (proposals.length < 2) return { kept: proposals, dropped: [] };
  const best = new Map<string, Proposal>();
  const dropped: { proposal: Proposal; reason: string }[] = [];
  for (const proposal of proposals) {
    const key = `${family(proposal.action)} ${prefixId(proposal.action.prefix)}`;
    const rival = best.get(key);
    if (rival === undefined) {
      best.set(key, proposal);
    } else if (strength(proposal.action) > strength(rival.action)) {
      best.set(key, proposal);
      dropped.push({ proposal: rival, reason: reason(rival, proposal) });
    } else {
      dropped.push({ proposal, reason: reason(proposal, rival) });
    }
  }
  return { kept: [...best.values()], dropped };
}

function reason(loser: Proposal, winner: Proposal): string {
  return `${loser.action.type} gives way to ${winner.action.type} of ${winner.policy} on the same prefix`;
}

/** Verbs that contradict each other on one prefix. */
function family(action: Action): "keep" | "fetch" {
  return action.type === "prefetch" || action.type === "cancel" ? "fetch" : "keep";
}

/** Orders contradicting verbs; a value in [0, 1] orders equal verbs. */
function strength(action: Action): number {
  switch (action.type) {
    case "evict":
      return 0;
    case "release":
      return 1;
    case "retain":
      return 2 + action.value;
    case "pin":
      return 4;
    case "cancel":
      return 0;
    case "prefetch":
      return 1 + action.value;
  }
}
