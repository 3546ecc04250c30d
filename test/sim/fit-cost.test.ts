import { describe, expect, it } from "vitest";
import { type CostModel, idleTtftMs } from "../../src/sim/cost-model.ts";
import { fitCost } from "../../src/sim/fit-cost.ts";

const batching = { chunkTokens: 256, maxRunning: 16 };
const engine: CostModel = {
  ...batching,
  overheadMs: 6,
  requestMs: 0,
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
  return { firstTokens, answers, bursts: [] };
}

function burstOf(ms: number) {
  return [{ together: 8, requests: 6, prompt: 64, ms }];
}

describe("fitting a cost model", () => {
  it("finds the cost that samples were made with", () => {
    const { cost, typicalError } = fitCost(samplesOf(engine), batching);
    expect(typicalError).toBeLessThan(1e-6);
    const names = (Object.keys(engine) as (keyof CostModel)[]).filter((name) => engine[name] > 0);
    for (const name of names) expect(cost[name] / engine[name]).toBeCloseTo(1, 4);
  });

  it("finds from bursts for how much of a request the engine stands still", () => {
    // Where it stands still for all of the 6 ms, no sender of eight is answered more often than every 8 x 6 ms.
    const samples = samplesOf(engine);
    const slow = fitCost({ ...samples, bursts: burstOf(1000) }, batching).cost;
    expect(slow.requestMs).toBeCloseTo(6, 4);
    expect(slow.overheadMs).toBeCloseTo(0, 4);
    const between = fitCost({ ...samples, bursts: burstOf(40) }, batching).cost;
    expect(between.requestMs).toBeGreaterThan(1);
    expect(between.requestMs).toBeLessThan(5);
    expect(between.requestMs + between.overheadMs).toBeCloseTo(6, 4);
    expect(fitCost({ ...samples, bursts: burstOf(1) }, batching).cost.requestMs).toBe(0);
  });

  it("leaves out what would cost less than nothing", () => {
    const { firstTokens, answers } = samplesOf({ ...engine, promptTokenMs: -0.0002 });
    const { cost, typicalError } = fitCost({ firstTokens, answers, bursts: [] }, batching);
    expect(Object.values(cost).every((value) => value >= 0)).toBe(true);
    expect(cost.promptTokenMs).toBe(0);
    expect(typicalError).toBeGreaterThan(0);
    expect(typicalError).toBeLessThan(0.5);
  });
});
