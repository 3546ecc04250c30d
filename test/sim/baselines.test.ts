import { expect, test } from "vitest";
import belady from "../../src/sim/baselines/belady.ts";
import declaredGraph from "../../src/sim/baselines/declared-graph.ts";
import depth from "../../src/sim/baselines/depth.ts";
import lfu from "../../src/sim/baselines/lfu.ts";
import lru from "../../src/sim/baselines/lru.ts";
import orderOracle from "../../src/sim/baselines/order-oracle.ts";
import paper from "../../src/sim/baselines/paper.ts";
import s3Fifo from "../../src/sim/baselines/s3-fifo.ts";
import scout from "../../src/sim/baselines/scout.ts";
import sieve from "../../src/sim/baselines/sieve.ts";
import unbounded from "../../src/sim/baselines/unbounded.ts";
import type { Baseline } from "../../src/sim/cache-policy.ts";
import { replay } from "../../src/sim/replay.ts";
import { written } from "./written-schedule.ts";

function play(baseline: Baseline, trace: string, capacity: number) {
  const { hits, evictions } = replay(written(trace), baseline, { capacity });
  return { hits, evictions };
}

test("a cache without bounds misses what is new and evicts nothing", () => {
  // abc; abd hits a and b; ab hits both.
  expect(play(unbounded, "abc abd ab", 1)).toEqual({ hits: 4, evictions: 0 });
});

test("hits end at the first block that is not in cache", () => {
  // abc: nothing. xbc: x is new, so b and c are no hits though in cache.
  expect(play(lru, "abc xbc", 4)).toEqual({ hits: 0, evictions: 0 });
});

test("lru evicts what was used longest ago", () => {
  // a, b, a hit, c evicts b, b evicts a, a evicts c.
  expect(play(lru, "a b a c b a", 2)).toEqual({ hits: 1, evictions: 3 });
});

test("lru cuts a prompt at its tail", () => {
  // abc; x evicts c; abc hits a and b, c comes back and evicts x.
  expect(play(lru, "abc x abc", 3)).toEqual({ hits: 2, evictions: 2 });
});

test("lfu evicts what was used least often, the oldest among equals", () => {
  // a, b, a hit (2 uses), c evicts b (1 use), b evicts c (1), a hit.
  expect(play(lfu, "a b a c b a", 2)).toEqual({ hits: 2, evictions: 2 });
});

test("lfu lets a new block in, cuts at the tail and forgets the count of what it evicts", () => {
  // ab, ab 2 hits, c evicts b (as often as a, but deeper), b evicts c, now 1 use: c evicts b and not a (2), a hit.
  expect(play(lfu, "ab ab c b c a", 2)).toEqual({ hits: 3, evictions: 3 });
});

test("sieve spares what was visited and goes on from where it stopped", () => {
  // a, b, c; a hit. d: the hand spares a, evicts b. e: from c on, evicts c. f: evicts d. a hit. LRU has lost a by then.
  expect(play(sieve, "a b c a d e f a", 3)).toEqual({ hits: 2, evictions: 3 });
  // LRU: a hit; d evicts b, e evicts c, f evicts a, a evicts d.
  expect(play(lru, "a b c a d e f a", 3)).toEqual({ hits: 1, evictions: 4 });
});

test("s3-fifo moves what is used twice to main, and what comes back soon as well", () => {
  // Capacity 4: small has 1 block, main and ghost 3. Small | main | ghost, oldest first:
  // a, a hit, a hit, b, c, d: abcd | - | -
  // e: a goes to main, b is evicted:          cde | a    | b
  // a: hit, main counts 1 use.
  // b: evicts c, enters main from the ghosts: de  | ab   | c
  // f: evicts d                               ef  | ab   | cd
  // b: hit, main counts 1 use.
  // g: evicts e                               fg  | ab   | cde
  // h: evicts f, c is forgotten               gh  | ab   | def
  // e: evicts g, d is forgotten, e to main    h   | abe  | fg
  // f: evicts h, f to main                    -   | abef | gh
  // i: small is empty, a and b get a turn for their use, e is evicted.
  // a, b: hits.
  expect(play(s3Fifo, "a a a b c d e a b f b g h e f i a b", 4)).toEqual({ hits: 6, evictions: 8 });
});

test("s3-fifo lets go of what was used only once more, and takes it to main when it comes back", () => {
  // abcd fill the small queue, a has one use: e evicts a, a evicts b.
  expect(play(s3Fifo, "a a b c d e a", 4)).toEqual({ hits: 1, evictions: 2 });
});

test("s3-fifo remembers as many blocks as main holds", () => {
  // e to h evict a to d, of which the last three are remembered. a evicts e, is new and leaves the small queue again, by l.
  expect(play(s3Fifo, "a b c d e f g h a i j k l a", 4)).toEqual({ hits: 0, evictions: 10 });
});

test("depth evicts the deepest block, the oldest among equals", () => {
  // abc; abd: 2 hits, evicts c; abc: 2 hits, evicts d; xy: evicts c, then b (as deep as y, older); ab: 1 hit, evicts y.
  expect(play(depth, "abc abd abc xy ab", 3)).toEqual({ hits: 5, evictions: 5 });
});

test("belady evicts what is used last in the future, a new block too", () => {
  // a, b, a hit, c is never used again and goes at once, b hit, a hit.
  expect(play(belady, "a b a c b a", 2)).toEqual({ hits: 3, evictions: 1 });
  // abc; de: both go at once; abc: 3 hits.
  expect(play(belady, "abc de abc", 3)).toEqual({ hits: 3, evictions: 2 });
});

test("order-oracle knows a run's own future, not which run comes next", () => {
  // 1:a. 2:b: run 1 uses a 2 steps on, run 2 uses b 1 step on, so a goes, although a is next. c goes, as run 1 never
  // uses it again. 1:a misses, was its last use, and goes. 2:b hit.
  expect(play(orderOracle, "1:a 2:b 1:c 1:a 2:b", 1)).toEqual({ hits: 1, evictions: 3 });
});

test("order-oracle knows what comes after a run's end where its thread goes on", () => {
  // Runs 1 and 3 are of one thread. At 2:b one block has to go: b is never used again, a is by run 3, which has not begun. a hit.
  const apart = written("1:a 2:b 3:a");
  const calls = apart.calls.map((call) => (call.run === 2 ? { ...call, thread: 0 } : call));
  expect(replay({ ...apart, calls }, orderOracle, { capacity: 1 }).hits).toBe(1);
});

test("order-oracle expects a block that several runs used at the rate of their arrivals", () => {
  // 1:x. 2:x hit: a second run came. 3:y: nobody else ever used y, it goes. 4:x hit.
  expect(play(orderOracle, "1:x 2:x 3:y 4:x", 1)).toEqual({ hits: 2, evictions: 1 });
});

test("declared-graph evicts what no open run can come to", () => {
  // p -> c is known when d comes. Run 1 is at p: a is 0 steps away. Run 2 is at c, from which no way leads to p: b goes
  // (LRU would evict a). 1:p:a hit.
  expect(play(declaredGraph, "1:p:a 2:p:b 2:c:d 1:p:a", 2)).toEqual({ hits: 1, evictions: 1 });
});

test("declared-graph forgets a run that has ended", () => {
  // When d comes, b is 0 steps away for run 2. a, though younger, was of run 1, which has ended, and goes. b hit.
  expect(play(declaredGraph, "2:p:b 1:p:a 2:p:d 2:p:b", 2)).toEqual({ hits: 1, evictions: 1 });
});

// At d, of agent p: p -> q -> r -> p, so p is 0 hops away, q 1 and r 2. LRU would evict a.
const cycle = "1:p:a 1:q:b 1:r:c 1:p:d 1:p:a";

test("paper evicts the block with the least of survival and recency", () => {
  // a: 4 x 1 + 0. b: 4 x 7/8 + 1/3. c: 4 x 6/8 + 2/3, the least. Then a hit.
  expect(play(paper, cycle, 3)).toEqual({ hits: 1, evictions: 1 });
});

test("paper forgets transitions older than the latest 4096", () => {
  // z, then y 4201 times. b evicts z, d evicts y: no way leads to their agents. At c, of agent q, q -> p is forgotten, so
  // that no agent can be reached from q and a, the oldest, goes (else d would: p 1 hop, r 2, t 3). a evicts b, c or d.
  const trace = `1:q:z 1:p:y ${"1:r:y 1:s:y ".repeat(2100)}1:p:a 1:r:b 1:t:d 1:q:c 1:p:a`;
  expect(play(paper, trace, 3)).toEqual({ hits: 4200, evictions: 4 });
});

test("scout evicts the block with the least product of survival and recency", () => {
  // a: 1.01 x (e^-0.015 + 0.01) = 1.005. b: (5/6 + 0.01) x (e^-0.01 + 0.01) = 0.843. c: (4/6 + 0.01) x 1.005 = 0.680, the
  // least. Then a hit.
  expect(play(scout, cycle, 3)).toEqual({ hits: 1, evictions: 1 });
});
