import { setImmediate as endOfTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { EventTurn } from "../src/event-turn.ts";
import type { Event } from "../src/runtime/event.ts";

const event = (run: string): Event => ({ type: "run-start", at: 0, run });

const runsOf = (events: readonly Event[]) => events.map((one) => ("run" in one ? one.run : "")).join(" ");

function held(): { readonly turn: EventTurn; readonly taken: string[] } {
  const taken: string[] = [];
  return { taken, turn: new EventTurn((events) => void taken.push(runsOf(events))) };
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
