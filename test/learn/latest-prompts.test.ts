import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LatestPrompts, shareOf } from "../../src/learn/latest-prompts.ts";

const shape = (...hashes: readonly string[]) => ({
  anchor: { hash: "anchor", length: 100 },
  history: hashes.map((hash) => ({ hash, length: 10 })),
});
const histories = fc.array(
  fc.record({ agent: fc.nat(2), hashes: fc.array(fc.constantFrom("a", "b"), { maxLength: 4 }) }),
);

test("what prompts have in common is the same whether or not they share a list", () => {
  fc.assert(
    fc.property(histories, (given) => {
      const prompts = new LatestPrompts();
      const model = new Map<number, readonly string[]>();
      for (const { agent, hashes } of given) {
        const prompt = shape(...hashes);
        prompts.compare(prompt);
        for (const [other, earlier] of model) {
          const known = prompts.of(other);
          const differs = earlier.findIndex((hash, i) => hash !== hashes[i]);
          expect(known && prompts.commonWith(known, prompt)).toBe(differs < 0 ? earlier.length : differs);
        }
        prompts.set(agent, prompt, { before: prompts.of(agent), most: 0, step: 1 });
        model.set(agent, hashes);
        expect(prompts.latest).toBe(prompts.of(agent));
      }
    }),
  );
});

test("prompts with shared messages hold one list", () => {
  const prompts = new LatestPrompts();
  for (const [agent, prompt] of [shape("a"), shape("a", "b"), shape("a", "b", "c")].entries()) {
    prompts.compare(prompt);
    prompts.set(agent, prompt, { before: prompts.of(agent), most: 0, step: 1 });
  }
  expect(prompts.of(0)).toMatchObject({ length: 1 });
  expect(prompts.of(0)?.messages).toBe(prompts.of(2)?.messages);
});

test("a share is by characters, and all of nothing", () => {
  const prompts = new LatestPrompts();
  const long = {
    anchor: shape().anchor,
    history: [
      { hash: "a", length: 30 },
      { hash: "b", length: 10 },
    ],
  };
  prompts.compare(long);
  prompts.set(0, long, { before: prompts.of(0), most: 0, step: 1 });
  prompts.compare(shape());
  prompts.set(1, shape(), { before: prompts.of(1), most: 0, step: 1 });
  const [first, second] = [prompts.of(0), prompts.of(1)];
  expect(first && [0, 1, 2].map((common) => shareOf(first, common))).toEqual([0, 0.75, 1]);
  expect(second && shareOf(second, 0)).toBe(1);
});
