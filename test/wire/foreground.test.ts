import { expect, test } from "vitest";
import type { Event } from "../../src/runtime/event.ts";
import { Foreground } from "../../src/wire/foreground.ts";

function watched(foreground: Foreground) {
  const tell = (type: string, request: string, at = 0) =>
    foreground.observe({ type, request, at } as unknown as Event);
  let isQuiet = false;
  const wait = () => void foreground.quiet(undefined).then(() => (isQuiet = true));
  const quiet = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return isQuiet;
  };
  return { tell, wait, quiet };
}

test("a request counts until its first token, or to its end where its answer is work as well", async () => {
  for (const isAnswerWork of [false, true]) {
    const { tell, wait, quiet } = watched(new Foreground({ isAnswerWork }));
    tell("request-start", "1");
    wait();
    expect(await quiet()).toBe(false);
    tell("request-first-token", "1");
    expect(await quiet()).toBe(!isAnswerWork);
    tell("request-end", "1");
    expect(await quiet()).toBe(true);
  }
});

test("a request whose end is never seen does not keep the engine's time for ever", async () => {
  const { tell, wait, quiet } = watched(new Foreground());
  tell("request-start", "lost");
  tell("request-start", "2", 600_000);
  tell("request-end", "2");
  wait();
  expect(await quiet()).toBe(false);
  tell("request-start", "3", 600_001);
  tell("request-end", "3");
  expect(await quiet()).toBe(true);
});
