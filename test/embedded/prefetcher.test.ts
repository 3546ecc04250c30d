import { expect, test } from "vitest";
import type { Cache } from "../../src/embedded/cache/kv-cache.ts";
import { zeroCounters } from "../../src/embedded/counters.ts";
import { Prefetcher } from "../../src/embedded/prefetcher.ts";
import { createPool, play, prompt } from "./pool.ts";

const unused = () => Promise.reject(new Error("there is nothing to compute"));

test("a prefetch that is withdrawn while a more valuable one is looked at holds no sequence", async () => {
  const { pool } = createPool(4);
  pool.owners.setValue("resident", 0.9);
  play(pool, prompt(0, 1, 48), "resident");
  // Both have room for the first of their blocks only, and are worth more later.
  pool.owners.setValue("first", 0.5, { later: [[1000, 0.95]] });
  pool.owners.setValue("second", 0.4, { later: [[1000, 0.95]] });
  const cache: Cache = {
    pool,
    async open(tokens, given) {
      // Copying a sequence takes a while, in which the request comes that the second one is for.
      if (given.owner === "first") prefetcher.cancel("second", "the request it was for has arrived");
      return pool.open(tokens, given);
    },
    evaluate: unused,
    erase: unused,
    clear: unused,
  };
  const prefetcher = new Prefetcher(cache, 48, zeroCounters);
  const first = prefetcher.submit({ prefix: "first", tokens: prompt(1, 1, 48), anchorLength: 0 });
  const second = prefetcher.submit({ prefix: "second", tokens: prompt(2, 1, 48), anchorLength: 0 });
  expect(await prefetcher.next()).toBeUndefined();
  expect(await second).toMatchObject({ status: "cancelled", tokens: 0 });
  expect(pool.chains.filter(({ running }) => running)).toEqual([]);
  prefetcher.cancelAll("over");
  expect(await first).toMatchObject({ status: "cancelled", tokens: 0 });
});
