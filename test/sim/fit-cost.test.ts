import { describe, expect, it } from "vitest";
import { type CostModel, idleTtftMs } from "../../src/sim/cost-model.ts";
import { fitCost } from "../../src/sim/fit-cost.ts";

const batching = { chunkTokens: 256, maxRunning: 16 };
const engine: CostModel = {
  ...batching,
  overheadMs: 6,
  promptTokenMs: 0.0005,
  stepMs: 0.5,
  tokenMs: 0.05,
  squaredTokenMs: 0.00001,
  answerTokenMs: 0.6,
  answerContextMs: 0.00005,
};

/** What an engine of this cost would have taken. */
function samplesOf(cost: CostModel) {
  const lengths = [64, 300, 512, 1024, 2048, 4096, 8192];
  const firstTokens = lengths.flatMap((prompt) =>
    [0, prompt - 16, prompt / 2].map((cached) => ({
      cached,
      prompt,
      ms: idleTtftMs(cost, cached, prompt),
    })),
  );
  const answers = [
    [1, 100],
    [1, 4000],
    [8, 100],
    [8, 2000],
  ].map(([together = 0, context = 0]) => ({
    together,
    context,
    ms: cost.stepMs + together * (cost.answerTokenMs + cost.answerContextMs * context),
  }));
  return { firstTokens, answers };
}

describe("fitting a cost model", () => {
  it("finds the cost that samples were made with", () => {
    const { cost, typicalError } = fitCost(samplesOf(engine), batching);
    expect(typicalError).toBeLessThan(1e-6);
    const names = Object.keys(engine) as (keyof CostModel)[];
    for (const name of names) expect(cost[name] / engine[name]).toBeCloseTo(1, 4);
  });

  it("leaves out what would cost less than nothing", () => {
    const { firstTokens, answers } = samplesOf({ ...engine, promptTokenMs: -0.0002 });
    const { cost, typicalError } = fitCost({ firstTokens, answers }, batching);
    expect(Object.values(cost).every((value) => value >= 0)).toBe(true);
    expect(cost.promptTokenMs).toBe(0);
    expect(typicalError).toBeGreaterThan(0);
    expect(typicalError).toBeLessThan(0.5);
  });
});
