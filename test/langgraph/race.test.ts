import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { race } from "../../src/langgraph/race.ts";

test("a call with patience for ever is never late", async () => {
  for (const patienceMs of [Number.POSITIVE_INFINITY, 2 ** 31]) {
    const told: string[] = [];
    const response = await race(
      {
        send: async () => {
          await delay(20);
          return new Response("ok");
        },
        patienceMs,
        late: async () => void told.push("late"),
        decided: () => void told.push("decided"),
      },
      undefined,
    );
    expect(await response.text()).toBe("ok");
    expect(told).toEqual([]);
  }
});
