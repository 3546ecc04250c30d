import { expect, test } from "vitest";
import { SlotTable } from "../../src/wire/slot-table.ts";

/** Tokens of an agent's anchor that another run of it finds in its slot, after so many other agents. */
function keptAfter(others: number): number | undefined {
  const table = new SlotTable(1);
  const first = { agent: "a", run: "1" };
  table.begin(first);
  table.claim(first, 0);
  table.end(first, 1000, 0.5);
  for (let i = 0; i < others; i++) table.end({ agent: `worker ${i}`, run: "2" }, 1000, 0.5);
  return table.hold({ agent: "a", run: "3" }, 0, 1000)?.kept;
}

test("of agents whose names are made up as they go the sizes of the newest anchors are known", () => {
  expect([keptAfter(1023), keptAfter(1024)]).toEqual([500, 0]);
});
