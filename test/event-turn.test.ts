import { setImmediate as endOfTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { EventTurn } from "../src/event-turn.ts";
import type { Event } from "../src/runtime/event.ts";

const event = (run: string): Event => ({ type: "run-start", at: 0, run });

const runsOf = (events: readonly Event[]) => events.map((one) => ("run" in one ? one.run : "")).join(" ");

function held({ isAwaited = true } = {}): { readonly turn: EventTurn; readonly taken: string[] } {
  const taken: string[] = [];
  const times = [10, 20, 30][Symbol.iterator]();
  const clock = { now: () => times.next().value ?? 0 };
  const take = (events: readonly Event[], at?: number) =>
    void taken.push(at === undefined ? runsOf(events) : `${at}: ${runsOf(events)}`);
  return { taken, turn: new EventTurn(take, clock, () => isAwaited) };
}

test("events of one turn are taken together, with those that had waited for one of them, in order", async () => {
  const { turn, taken } = held();
  turn.add(event("1"), "next");
  await endOfTurn();
  expect(taken).toEqual([]);
  turn.add(event("2"), "turn");
  turn.add(event("3"), "next");
  turn.add(event("4"), "turn");
  expect(taken).toEqual([]);
  await endOfTurn();
  expect(taken).toEqual(["1 2 3 4"]);
});

test("an event that cannot wait takes all others along, and the turn may go on", async () => {
  const { turn, taken } = held();
  turn.add(event("1"), "turn");
  turn.add(event("2"), "none");
  turn.add(event("3"), "turn");
  expect(taken).toEqual(["1 2"]);
  await endOfTurn();
  expect(taken).toEqual(["1 2", "3"]);
});

test("whoever asks gets what is held back; no more than a bounded number is", () => {
  const { turn, taken } = held();
  turn.add(event("1"), "next");
  turn.end();
  turn.end();
  expect(taken).toEqual(["1"]);
  for (let i = 0; i < 1000; i++) turn.add(event("2"), "next");
  expect(taken.length).toBeGreaterThan(10);
});

test("turns that nobody waits for are taken later, each by itself and with its time", async () => {
  const { turn, taken } = held({ isAwaited: false });
  turn.add(event("1"), "turn");
  await endOfTurn();
  turn.add(event("2"), "next");
  await endOfTurn();
  turn.add(event("3"), "turn");
  await endOfTurn();
  expect(taken).toEqual([]);
  turn.add(event("4"), "none");
  expect(taken).toEqual(["10: 1", "20: 2 3", "4"]);
  for (let i = 0; i < 63; i++) turn.add(event("5"), "turn");
  await endOfTurn();
  expect(taken.length).toBe(3);
  turn.add(event("6"), "turn");
  await endOfTurn();
  expect(taken.length).toBe(5);
  expect(taken.at(-1)).toBe("0: 6");
});

test("who is handed a turn may ask for what comes of all of them", async () => {
  const taken: string[] = [];
  const turn: EventTurn = new EventTurn(
    (events) => {
      turn.end();
      taken.push(runsOf(events));
    },
    { now: () => 0 },
    () => false,
  );
  for (const run of ["1", "2"]) {
    turn.add(event(run), "turn");
    await endOfTurn();
  }
  turn.end();
  expect(taken.toSorted()).toEqual(["1", "2"]);
});
