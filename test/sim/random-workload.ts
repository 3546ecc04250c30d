import * as fc from "fast-check";
import { BlockIds, type RecordedCall, type Workload } from "../../src/sim/workload.ts";

interface Drawn {
  readonly agent: number;
  /** What follows the agent's anchor, or the one block where prompts have only one. */
  readonly words: readonly number[];
  readonly gapMs: number;
  readonly durationMs: number;
  readonly callsTools: boolean | undefined;
}

const drawnRuns = (most: number, word: fc.Arbitrary<number>, least = 0) =>
  fc.array(
    fc.array(
      fc.record<Drawn>({
        agent: fc.integer({ min: 0, max: 3 }),
        words: fc.array(word, { minLength: least, maxLength: most }),
        gapMs: fc.integer({ min: 0, max: 50 }),
        durationMs: fc.integer({ min: 0, max: 80 }),
        callsTools: fc.constantFrom(true, false, undefined),
      }),
      { minLength: 1, maxLength: 8 },
    ),
    { minLength: 1, maxLength: 8 },
  );

/** Prompts that share prefixes as prompts do: equal ids only after equal beginnings. Some are empty; calls may overlap. */
export const chainedWorkload = fc
  .tuple(drawnRuns(6, fc.integer({ min: 0, max: 2 })), fc.boolean())
  .map(([runs, isTimed]) => {
    const ids = new BlockIds();
    return workloadOf(ids, runs, isTimed, ({ agent, words }) => {
      const anchor = Array.from({ length: agent }, () => `agent ${agent}`);
      const prompt = [...anchor, ...words];
      return {
        blocks: Int32Array.from(prompt, (_, i) => ids.id(prompt.slice(0, i + 1).join("/"))),
        anchorBlocks: anchor.length,
      };
    });
  });

/** Each prompt is one block: what the optimality of Belady's rule is proven for. */
export const singleBlockWorkload = drawnRuns(1, fc.integer({ min: 0, max: 11 }), 1).map((runs) => {
  const ids = new BlockIds();
  return workloadOf(ids, runs, false, ({ words: [word = 0] }) => ({
    blocks: Int32Array.of(ids.id(word)),
    anchorBlocks: word % 2,
  }));
});

function workloadOf(
  ids: BlockIds,
  runs: readonly (readonly Drawn[])[],
  isTimed: boolean,
  prompt: (drawn: Drawn) => Pick<RecordedCall, "blocks" | "anchorBlocks">,
): Workload {
  const recorded = runs.map((calls, index) => {
    let startMs = 0;
    return {
      id: `run ${index}`,
      calls: calls.map((drawn, i): RecordedCall => {
        if (i > 0) startMs += drawn.gapMs;
        const { blocks, anchorBlocks } = prompt(drawn);
        return {
          agent: `agent ${drawn.agent}`,
          blocks,
          anchorBlocks,
          promptTokens: 16 * blocks.length + 5,
          outputTokens: 20,
          ...(isTimed && { startMs, durationMs: drawn.durationMs }),
          ...(drawn.callsTools !== undefined && { callsTools: drawn.callsTools }),
        };
      }),
    };
  });
  return { name: "random", blockTokens: 16, blockCount: ids.count, runs: recorded };
}
