import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { z } from "zod";
import { type Action, type ActionType, isVerdict } from "../runtime/action.ts";
import { atOnce } from "../runtime/hook-result.ts";
import type { PolicyDefinition, Subject } from "../runtime/policy.ts";
import { BUDGET_MS, PolicyTrial } from "./policy-trial.ts";
import { finishedRun } from "./trial-runs.ts";

/** One thing that every policy has to do; `run` throws with what is wrong. */
export interface PolicyCase {
  readonly name: string;
  run(): void;
}

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const SUBJECTS: Readonly<Record<Subject, true>> = {
  prefix: true,
  request: true,
  "late-request": true,
  "tool-call": true,
  transition: true,
};
const VERBS: Readonly<Record<ActionType, true>> = {
  retain: true,
  release: true,
  prefetch: true,
  pin: true,
  evict: true,
  cancel: true,
  speculate: true,
  admit: true,
  hold: true,
  route: true,
  reuse: true,
  ask: true,
  deny: true,
};
/** Finished runs, all alike but for their ids, after which what is bounded has come to its bound; then as many again. */
const RUNS = 200;
/** Runs at the end of each half of which the work is compared: what is done now and then evens out. */
const COMPARED = 20;

/**
 * What any policy must hold to, as cases for the test runner of your choice.
 *
 * @param given options to try it with; default: its own defaults.
 * @example
 * for (const { name, run } of policyConformance(policy)) test(name, run);
 */
export function policyConformance(
  definition: PolicyDefinition<Subject>,
  given: object = {},
): readonly PolicyCase[] {
  const trial = () => new PolicyTrial(definition, given);
  return [
    {
      name: "every option has a default, or may be left out, and says what it is for",
      run: () => {
        definition.options.parse({});
        const { shape = {} } = definition.options as { shape?: Readonly<Record<string, z.ZodType>> };
        for (const [name, option] of Object.entries(shape))
          assert.ok(isDescribed(option), `option ${name} has no description`);
      },
    },
    {
      name: "an option that does not exist is refused",
      run: () => assert.equal(definition.options.safeParse({ noSuchOption: 1 }).success, false),
    },
    {
      name: "its subjects and verbs are ones that there are",
      run: () => {
        known("subject", [definition.subject].flat(), SUBJECTS);
        known("actions", definition.actions, VERBS);
      },
    },
    {
      name: "same steps, same decisions",
      run: () => {
        for (const seed of SEEDS) {
          const [first, second] = [0.25, 0.75].map((chance) =>
            elsewhere(chance, () => decisions(trial(), seed)),
          );
          for (const [i, one] of (first ?? []).entries())
            assert.deepEqual(
              second?.[i],
              one,
              `seed ${seed}: answer ${i} was ${inspect(one)}, and ${inspect(second?.[i])} when the same steps were played again. ` +
                "Take the time from the context's clock or the moment, and chance from a generator with a seed",
            );
          assert.equal(
            second?.length,
            first?.length,
            `seed ${seed}: another number of answers when played again`,
          );
        }
      },
    },
    {
      name: "no order of events and calls makes it throw, score outside of [0, 1] or use a verb that it does not declare",
      run: () => {
        for (const seed of SEEDS) {
          const played = trial();
          played.play(seed);
          assert.deepEqual(played.faults, [], `seed ${seed}`);
        }
      },
    },
    {
      name: "every verdict says why",
      run: () => {
        for (const seed of SEEDS) {
          const played = trial();
          played.play(seed);
          for (const answer of played.watched.answers) saysWhy(answer, seed);
        }
      },
    },
    {
      name: "no call waits for longer than its budget, and none is left behind",
      run: () => {
        for (const seed of SEEDS) {
          const played = trial();
          played.play(seed);
          played.finish();
          assert.ok(
            played.longestMs <= BUDGET_MS,
            `a call was held for ${played.longestMs} ms, seed ${seed}`,
          );
        }
      },
    },
    {
      name: "what it remembers comes back from JSON as it was",
      run: () => {
        for (const seed of SEEDS) {
          const played = trial();
          played.play(seed);
          const before = asJson(played.policy.snapshot?.());
          const fresh = trial();
          if (before !== undefined) fresh.policy.restore?.(JSON.parse(before));
          assert.equal(asJson(fresh.policy.snapshot?.()), before, `seed ${seed}`);
        }
      },
    },
    {
      name: "what it costs and what it remembers do not grow with the runs that it has seen",
      run: () => staysSmall(trial()),
    },
    {
      name: "closing it throws nothing, before and after it was used",
      run: () => {
        const used = trial();
        for (const seed of SEEDS) used.play(seed);
        for (const { policy } of [trial(), used])
          assert.doesNotThrow(
            () => atOnce(policy.close?.()),
            "close threw. Let go of what can be let go of, and catch the rest: nobody can do anything about it any more",
          );
      },
    },
  ];
}

/** What was decided and answered when this is what chance says, and the wall clock is where it was or an hour later. */
function elsewhere<T>(chance: number, play: () => T): T {
  const { random } = Math;
  const { now } = Date;
  Math.random = () => chance;
  Date.now = () => now() + chance * 7_200_000;
  try {
    return play();
  } finally {
    Math.random = random;
    Date.now = now;
  }
}

function decisions(played: PolicyTrial, seed: number): readonly unknown[] {
  const left = played.play(seed);
  return [...played.watched.answers, ...left];
}

function known(field: string, names: readonly string[], all: object): void {
  assert.ok(names.length > 0, `${field} names nothing: give at least one of ${Object.keys(all).join(", ")}`);
  for (const name of names)
    assert.ok(
      Object.hasOwn(all, name),
      `${field} has ${inspect(name)}, which there is not: use ${Object.keys(all).join(", ")}`,
    );
}

/** An admission needs no reason: it is what a call without a verdict gets. */
function saysWhy(answer: unknown, seed: number): void {
  if (typeof answer !== "object" || answer === null) return;
  const action = answer as Action;
  if (!isVerdict(action) || action.type === "admit") return;
  const { reason } = action as { readonly reason?: unknown };
  assert.ok(
    typeof reason === "string" && reason.trim() !== "",
    `seed ${seed}: ${action.type} of a ${action.call.kind} came with the reason ${inspect(reason)}. Say why in one sentence, for the ledger and for whoever is told`,
  );
}

function staysSmall(played: PolicyTrial): void {
  let next = 0;
  const live = (runs: number) => {
    for (const end = next + runs; next < end; next++) played.playSteps(finishedRun(next));
    const { reads } = played.watched;
    return { reads, kept: parts(played.policy.snapshot?.()) };
  };
  const half = () => {
    const { reads } = live(RUNS - COMPARED);
    const after = live(COMPARED);
    return { reads: after.reads - reads, kept: after.kept };
  };
  const [first, second] = [half(), half()];
  const runs = `${RUNS} finished runs, and`;
  // What is kept of each run, or read again for it, has doubled by now.
  assert.ok(
    second.reads <= first.reads * 1.5,
    `observe read ${first.reads} fields of events in ${COMPARED} runs after ${runs} ${second.reads} after ${2 * RUNS}: it reads again what it has seen. Keep a sum of it, and forget what has ended`,
  );
  assert.ok(
    second.kept <= first.kept * 1.5,
    `its snapshot had ${first.kept} parts after ${runs} ${second.kept} after ${2 * RUNS}: it keeps what has ended. Forget it at run-end, or keep a bounded number`,
  );
}

/** Values in a snapshot, itself included. */
function parts(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  let count = 1;
  for (const inner of Object.values(value)) count += parts(inner);
  return count;
}

function isDescribed(option: z.ZodType): boolean {
  return option.description !== undefined && option.description !== "";
}

function asJson(value: unknown): string | undefined {
  return JSON.stringify(value) as string | undefined;
}
