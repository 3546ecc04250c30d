import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BlockDeltas } from "../../src/record/block-delta.ts";
import { LineFile } from "../../src/record/line-file.ts";
import { Recorder } from "../../src/record/recorder.ts";
import type { Event } from "../../src/runtime/event.ts";

const place = { run: "run-1", session: "thread-1", agent: "one", namespace: "one" };
const shape = { anchor: { hash: "", length: 0 }, history: [] };

/** A recorder with a clock of its own, whose work is done on demand. */
function bench(key = "key") {
  let now = 0;
  let work: (() => void)[] = [];
  let written = "";
  const faults: unknown[] = [];
  const recorder = new Recorder({
    key,
    clock: { now: () => now },
    write: (lines) => (written += lines),
    later: (job) => work.push(job),
    onFault: (error) => faults.push(error),
  });
  const emit = (event: Event) => {
    now = event.at;
    recorder.host.emit(event);
  };
  return {
    recorder,
    faults,
    emit,
    start: (request: string, at: number, prompt: string, run = "run-1") => {
      emit({ type: "request-start", at, ...place, run, request, prompt: shape });
      recorder.host.prompt?.(request, prompt, undefined);
    },
    end: (request: string, at: number, run = "run-1") =>
      emit({ type: "request-end", at, ...place, run, request, status: "completed" }),
    work: () => {
      const due = work;
      work = [];
      for (const job of due) job();
    },
    lines: () =>
      written
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe("a recorder", () => {
  it("does nothing but remember while the application waits", () => {
    const { start, end, work, lines } = bench();
    start("a", 10, "x".repeat(300));
    end("a", 15);
    expect(lines()).toEqual([]);
    work();
    expect(lines()).toMatchObject([{ agent: "one", start_ms: 0, dur_ms: 5, ref: -1, keep: 0 }]);
  });

  it("writes a prompt as what it adds to an earlier one of its run", () => {
    const { start, end, work, lines } = bench();
    start("a", 0, "x".repeat(640));
    end("a", 1);
    start("b", 2, `${"x".repeat(640)}${"y".repeat(640)}`);
    end("b", 3);
    work();
    expect(lines()[1]).toMatchObject({ ref: 0, keep: 10 });
  });

  it("gives a run that is invoked again under its old id a session of its own", () => {
    const { emit, start, end, work, lines } = bench();
    for (const at of [0, 10]) {
      emit({ type: "run-start", at, run: "run-1" });
      start(`a${at}`, at, "x".repeat(100));
      end(`a${at}`, at + 1);
      emit({ type: "run-end", at: at + 2, run: "run-1", status: "completed" });
    }
    work();
    const sessions = lines().map(({ session }) => session);
    expect(new Set(sessions).size).toBe(2);
    expect(sessions[0]).toBe(sessions[1]);
    expect(lines()[1]).toEqual({ session: sessions[0], end_ms: 2, status: "completed" });
  });

  it("keeps what a key hides from another, and agrees with itself", () => {
    const [first, same, other] = ["key", "key", "other"].map((key) => {
      const { start, recorder, lines } = bench(key);
      start("a", 0, "x".repeat(100));
      recorder.close();
      return lines()[0];
    });
    expect(first?.["new"]).toEqual(same?.["new"]);
    expect(first?.["new"]).not.toEqual(other?.["new"]);
    expect(first?.["thread"]).not.toBe(other?.["thread"]);
  });

  it("leaves out what LangChain's own cache answered, and runs without a call", () => {
    const { emit, start, end, recorder, work, lines } = bench();
    start("a", 0, "hello");
    recorder.host.output?.("a", {}, true);
    end("a", 1);
    emit({ type: "run-end", at: 2, run: "run-1", status: "completed" });
    work();
    expect(lines()).toEqual([]);
  });

  it("survives prompts and answers that cannot be read", () => {
    const { start, end, recorder, work, lines, faults } = bench();
    const cycle: unknown[] = [];
    cycle.push(cycle);
    start("a", 0, "");
    recorder.host.prompt?.("a", [{ content: cycle }], undefined);
    recorder.host.output?.("a", { generations: [[{ message: { role: "ai", content: { cycle } } }]] }, false);
    end("a", 1);
    work();
    expect(lines()).toMatchObject([{ agent: "one", output_tokens: 0 }]);
    expect(faults).toHaveLength(2);
  });
});

it("deltas add up to the prompts that they were made of", () => {
  const blocks = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(blocks, { maxLength: 20 }), (prompts) => {
      const deltas = new BlockDeltas();
      const rebuilt: number[][] = [];
      for (const prompt of prompts) {
        const { ref, keep, new: fresh } = deltas.next(prompt);
        rebuilt.push([...(rebuilt[ref] ?? []).slice(0, keep), ...fresh.map(([id]) => id)]);
      }
      expect(rebuilt).toEqual(prompts);
    }),
  );
});

it("a file that cannot be written is told once and costs nothing else", () => {
  const errors: unknown[] = [];
  const lines = new LineFile("missing/folder/trace.jsonl", (error) => errors.push(error));
  lines.append("a\n");
  lines.append("b\n");
  expect(errors).toHaveLength(1);
});
