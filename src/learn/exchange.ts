import { END, START } from "../runtime/event.ts";
import type { Counts } from "../runtime/store.ts";
import { CountReader, readCounts, writeCounts } from "./counts.ts";
import type { BranchState, LearnedState } from "./state.ts";

type Part = string | number;
/** A count's name: the distribution that it is of, then its place in there. Agents go by name. */
type Path = readonly Part[];
type Distribution = Map<Part, number>;

/** Numbers and agents that name a context of return times, but for whose it is. Versions before 5 had one less. */
const CONTEXT_PARTS = 4;
/** No more than so many samples are handed to a learner at once: about what it counts in full. */
const MOST_SAMPLES = 500;
/** All branches that have no number of their own. */
const SHARED_BRANCH: Path = ["", 0];
/** Distributions that are lists of independent sums, and are handed on as they are. */
const SUMS: readonly Part[] = ["anchors", "sums", "branches"];

/** Learned state as counts that add up by name, over processes that number their agents differently. */
export function countsOf(state: LearnedState): Counts {
  const counts = new Map<string, number>();
  for (const [path, places] of ownersOf(state)) {
    const owner = JSON.stringify(path).slice(0, -1);
    for (const [place, count] of places) {
      if (!(count > 0)) continue;
      const name = `${owner},${typeof place === "number" ? place : JSON.stringify(place)}]`;
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return counts;
}

/**
 * The other way round, with large counts scaled down to what a learner holds. What is no name of a count is left out: a newer
 * version may know more.
 */
export function stateOf(counts: Counts): LearnedState {
  const agents = new AgentNumbers();
  const branches = new BranchNumbers();
  const found = distributionsOf(counts);
  const of = (kind: string) => found.get(kind) ?? [];
  const one = (kind: string, ...path: Path) =>
    of(kind).find(([own]) => own.length === path.length && path.every((part, i) => own[i] === part))?.[1];
  const listed = (kind: string, ...path: Path) => writeCounts(listOf(one(kind, ...path)));
  const rows: string[] = [];
  for (const [[from], row] of of("transitions")) rows[agents.of(from)] = writeCounts(agents.listOf(row));
  const pairs = of("pairs").map(([[before, from, answer = 0], row]) => {
    if (!areNumbers([answer])) return "";
    const successors = [...row].flatMap(([to, count]) => [agents.of(to), count]);
    return writeCounts([
      agents.of(before),
      agents.of(from),
      Number(answer),
      successors.length,
      ...successors,
    ]);
  });
  const returns = (kind: string, ownerParts: number, ownerOf: (owner: Path) => number) => {
    const contexts = of(kind).filter(
      // All between the agent that it is of and the last two are numbers, as the first part is.
      ([path]) => path.length === ownerParts + CONTEXT_PARTS && areNumbers([path[0], ...path.slice(2, -2)]),
    );
    const texts = contexts.map(([[answer, ...path], row]) => {
      const [absence, previous, current] = path.slice(ownerParts);
      const numbers = [
        Number(answer),
        ownerOf(path),
        Number(absence),
        agents.of(previous),
        agents.of(current),
      ];
      const list = listOf(row);
      return writeCounts([...numbers, list.length, ...list]);
    });
    return texts.join("");
  };
  const survival = (kind: string) => {
    const survivors = new Set(of(kind).map(([[agent]]) => agent as Part));
    const texts = [...survivors].map((agent) => {
      const lists = ["now", "later"].map((when) => survivalList(one(kind, agent, when)));
      return writeCounts([agents.of(agent), ...lists.flatMap((list) => [list.length, ...list])]);
    });
    return texts.join("");
  };
  const goers = of("branches").map(([[agent], own]) =>
    writeCounts([agents.of(agent), own.get("left") ?? 0, own.get("resumed") ?? 0]),
  );
  const ofBranches = {
    agents: goers.join(""),
    returns: returns("branch returns", 2, ([agent, branch]) => branches.of(agents.of(agent), Number(branch))),
    survival: survival("branch survival"),
  };
  const sums = one("sums");
  const sum = (place: string) => sums?.get(place) ?? 0;
  const callers = of("anchors").map(([[agent], own]) => {
    const get = (place: string) => own.get(place) ?? 0;
    return [agents.of(agent), get("calls"), get("shared"), get("sharedSamples"), get("opening")] as const;
  });
  return {
    version: 5,
    transitions: { agents: Array.from(rows, (row) => row ?? ""), pairs: pairs.join("") },
    returns: returns("returns", 1, ([agent]) => agents.of(agent)),
    survival: survival("survival"),
    anchors: { agents: callers, characters: sum("characters"), tokens: sum("tokens") },
    pace: {
      gaps: [0, 1, 2].map((kind) => listed("gaps", kind)),
      calls: listed("calls"),
      cycles: listed("cycles"),
      sum: sum("gap milliseconds"),
      total: sum("gaps"),
    },
    threads: [0, 1].map((kind) => {
      const ends = one("ends", kind);
      return [ends?.get("ends") ?? 0, ends?.get("returned") ?? 0, listed("waits", kind)] as const;
    }),
    ...(Object.values(ofBranches).some((text) => text !== "") && {
      branches: { ...ofBranches, numbers: writeCounts(branches.list) },
    }),
    agents: agents.names,
  };
}

/** A distribution's path, and its counts by place. */
type Owner = readonly [Path, Iterable<readonly [Part, number]>];

function* ownersOf(state: LearnedState): Generator<Owner> {
  const name = (index: number) => state.agents[index] ?? "";
  const named = ([to, count]: readonly [number, number]) => [name(to), count] as const;
  for (const [from, row] of state.transitions.agents.entries())
    yield [["transitions", name(from)], [...readCounts(row).entries()].map(named)];
  for (const pairs = new CountReader(state.transitions.pairs); !pairs.isAtEnd;)
    yield [["pairs", name(pairs.next()), name(pairs.next()), pairs.next()], couples(pairs.list()).map(named)];
  yield* returnsOf("returns", state.returns, (agent) => [name(agent)], name);
  yield* survivalOf("survival", state.survival, name);
  if (state.branches) yield* branchesOf(state.branches, name);
  for (const [agent, calls, shared, sharedSamples, opening = 0] of state.anchors.agents)
    yield [["anchors", name(agent)], Object.entries({ calls, shared, sharedSamples, opening })];
  const { characters, tokens } = state.anchors;
  const { gaps, calls, cycles, sum, total } = state.pace;
  yield [["sums"], Object.entries({ characters, tokens, "gap milliseconds": sum, gaps: total })];
  for (const [kind, own] of gaps.entries()) yield [["gaps", kind], readCounts(own).entries()];
  yield [["calls"], readCounts(calls).entries()];
  yield [["cycles"], readCounts(cycles).entries()];
  for (const [kind, [ends, returned, waits]] of state.threads.entries()) {
    yield [["ends", kind], Object.entries({ ends, returned })];
    yield [["waits", kind], readCounts(waits).entries()];
  }
}

type Name = (agent: number) => string;

function* branchesOf({ agents, numbers, returns, survival }: BranchState, name: Name): Generator<Owner> {
  for (const reader = new CountReader(agents); !reader.isAtEnd;)
    yield [
      ["branches", name(reader.next())],
      Object.entries({ left: reader.next(), resumed: reader.next() }),
    ];
  const owners = couples(readCounts(numbers)).map(([agent, branch]) => [name(agent), branch]);
  yield* returnsOf("branch returns", returns, (index) => owners[index] ?? SHARED_BRANCH, name);
  yield* survivalOf("branch survival", survival, name);
}

/** @param ownerOf names whose return times they are. */
function* returnsOf(
  kind: string,
  text: string,
  ownerOf: (index: number) => Path,
  name: Name,
): Generator<Owner> {
  for (const returns = new CountReader(text); !returns.isAtEnd;) {
    const answer = returns.next();
    const owner = ownerOf(returns.next());
    const absence = returns.next();
    const last = [name(returns.next()), name(returns.next())];
    yield [[kind, answer, ...owner, absence, ...last], returns.list().entries()];
  }
}

function* survivalOf(kind: string, text: string, name: Name): Generator<Owner> {
  for (const survival = new CountReader(text); !survival.isAtEnd;) {
    const agent = name(survival.next());
    for (const when of ["now", "later"]) {
      const [samples = 0, ...rises] = survival.list();
      yield [
        [kind, agent, when],
        [["samples", samples], ...couples(rises)],
      ];
    }
  }
}

function couples(list: readonly number[]): readonly (readonly [number, number])[] {
  return Array.from({ length: Math.floor(list.length / 2) }, (_, i) => [
    list[2 * i] as number,
    list[2 * i + 1] as number,
  ]);
}

/** By kind: the rest of each distribution's path, and its counts by place. */
function distributionsOf(counts: Counts): ReadonlyMap<Part, readonly (readonly [Path, Distribution])[]> {
  const byName = new Map<string, readonly [Path, Distribution]>();
  for (const [name, count] of counts) {
    const path = pathOf(name);
    const place = path?.at(-1);
    if (!path || place === undefined || path.length < 2) continue;
    const owner = JSON.stringify(path.slice(0, -1));
    let own = byName.get(owner);
    if (!own) byName.set(owner, (own = [path.slice(0, -1), new Map()]));
    own[1].set(place, count);
  }
  const found = new Map<Part, (readonly [Path, Distribution])[]>();
  for (const [[kind = "", ...rest], own] of byName.values()) {
    if (!SUMS.includes(kind)) scale(own);
    const list = found.get(kind);
    if (list) list.push([rest, own]);
    else found.set(kind, [[rest, own]]);
  }
  return found;
}

function pathOf(name: string): Path | undefined {
  try {
    const path: unknown = JSON.parse(name);
    return Array.isArray(path) && path.every(isPart) ? (path as Part[]) : undefined;
  } catch {
    return undefined;
  }
}

function isPart(part: unknown): boolean {
  return typeof part === "string" || (Number.isSafeInteger(part) && Number(part) >= 0);
}

function areNumbers(parts: readonly unknown[]): boolean {
  return parts.every((part) => typeof part === "number");
}

function scale(own: Distribution): void {
  // What survived, or came back, is counted beside all there was.
  const samples = own.get("samples") ?? own.get("ends") ?? [...own.values()].reduce((a, b) => a + b, 0);
  if (samples <= MOST_SAMPLES) return;
  for (const [place, count] of own) own.set(place, (count * MOST_SAMPLES) / samples);
}

/** Counts by place, without a gap. */
function listOf(own: Distribution | undefined): readonly number[] {
  const list: number[] = [];
  for (const [place, count] of own ?? [])
    if (typeof place === "number" && place >= 0 && place < 1024) list[place] = count;
  return Array.from(list, (count) => count ?? 0);
}

function survivalList(own: Distribution | undefined): readonly number[] {
  const rises = [...(own ?? [])].filter(([place]) => typeof place === "number");
  return [own?.get("samples") ?? 0, ...rises.flatMap(([place, rise]) => [Number(place), rise])];
}

/** Numbers branches as a state does: the first is none. */
class BranchNumbers {
  /** Agents and branches, one after the other. */
  readonly list: number[] = [0, 0];
  readonly #numbers = new Map([["0 0", 0]]);

  of(agent: number, branch: number): number {
    const known = this.#numbers.get(`${agent} ${branch}`);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(`${agent} ${branch}`, number);
    this.list.push(agent, branch);
    return number;
  }
}

/** Numbers agents as a state does: the first three are none. */
class AgentNumbers {
  readonly names: string[] = [START, END, ""];
  readonly #numbers = new Map<Part, number>(this.names.map((name, index) => [name, index]));

  of(agent: Part | undefined): number {
    const name = String(agent ?? "");
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#numbers.set(name, this.names.length);
    return this.names.push(name) - 1;
  }

  listOf(row: Distribution): readonly number[] {
    const list: number[] = [];
    for (const [agent, count] of row) list[this.of(agent)] = count;
    return Array.from(list, (count) => count ?? 0);
  }
}
