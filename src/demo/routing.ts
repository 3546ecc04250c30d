import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { END } from "../runtime/event.ts";

/** Seeded numbers in [0, 1). */
export type Random = () => number;

/** How the team decides who is next: a seeded transition table, chance, or the model's own `NEXT:` line. */
export type Route = "table" | "random" | "llm";

/** Who hands over to whom, how often. Rows sum to 1. */
const table: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  planner: { architect: 0.95, coder: 0.05 },
  architect: { coder: 0.95, planner: 0.05 },
  coder: { tester: 0.9, reviewer: 0.1 },
  tester: { coder: 0.75, reviewer: 0.25 },
  reviewer: { documenter: 0.7, coder: 0.3 },
  documenter: { [END]: 0.95, reviewer: 0.05 },
};
export const team = Object.keys(table);

/** Whom an agent may hand over to, or END: what the app's conditional edges declare. */
export function declaredNext(agent: string, route: Route): readonly string[] {
  return [...new Set([...(route === "table" ? Object.keys(table[agent] ?? {}) : team), END])];
}
/** Most turns of a run. */
export const MOST_STEPS = 14;

export function random(...seed: readonly number[]): Random {
  let mixed = 0x9e3779b9;
  for (const part of seed) mixed = Math.imul(mixed ^ part, 0x85ebca6b) ^ (mixed >>> 13);
  const generator = xoroshiro128plus(mixed);
  return () => uniformFloat64(generator);
}

/** The agents one run visits, drawn beforehand so that every arm plays the same order. */
export function drawPath(route: Exclude<Route, "llm">, next: Random): readonly string[] {
  const path = ["planner"];
  for (;;) {
    const current = path.at(-1) as string;
    if (path.length >= MOST_STEPS) return path;
    const row = route === "table" ? (table[current] ?? {}) : uniform(current);
    let draw = next();
    const to = Object.entries(row).find(([, probability]) => (draw -= probability) < 0)?.[0] ?? END;
    if (to === END) return path;
    path.push(to);
  }
}

/** Any other agent alike; ends after eight steps on average. */
function uniform(current: string): Record<string, number> {
  const others = team.filter((agent) => agent !== current);
  const row = Object.fromEntries(others.map((agent) => [agent, 0.875 / others.length]));
  return { ...row, [END]: 0.125 };
}

/** The agent that an answer's last `NEXT:` line names, or undefined. */
export function namedNext(answer: string): string | undefined {
  const named = [...answer.matchAll(/NEXT:\s*([A-Za-z_]+)/g)].at(-1)?.[1]?.toLowerCase();
  if (named === "end") return END;
  return named !== undefined && team.includes(named) ? named : undefined;
}
