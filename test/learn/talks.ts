import type { Event, PromptPart } from "../../src/runtime/event.ts";

/** Calls of one app. A conversation is a prompt that grows; which of its agent's it is the learner has to find out. */
export class Talks {
  #time = 0;
  readonly #said = new Map<string, PromptPart[]>();

  run(run: string, type: "run-start" | "run-end"): Event {
    const at = ++this.#time;
    return type === "run-start" ? { type, at, run } : { type, at, run, status: "completed" };
  }

  /** @param system its system message; default: one that all of the agent have. */
  call(run: string, agent: string, talk: string, system = agent): Event {
    const key = `${run} ${agent} ${talk}`;
    const before = this.#said.get(key) ?? [];
    const history = [...before, { hash: `${key} ${before.length}`, length: 400 }];
    this.#said.set(key, history);
    const anchor = { hash: system, length: 4000 };
    const prompt = { anchor, history };
    const request = `request ${++this.#time}`;
    return { type: "request-start", at: this.#time, run, agent, namespace: agent, request, prompt };
  }

  /**
   * So many runs of a node that calls the model about two things, with another agent in between.
   *
   * @param name of the runs, which are then numbered; default: none.
   */
  twoThings(runs: number, name?: string): readonly Event[] {
    return Array.from({ length: runs }, (_, i) => {
      const run = name === undefined ? `${i}` : `${name} ${i}`;
      const turn = () => [
        this.call(run, "coder", "draft", "write"),
        this.call(run, "coder", "review", "review"),
        this.call(run, "tester", "test"),
      ];
      return [
        this.run(run, "run-start"),
        ...turn(),
        ...turn(),
        ...turn(),
        ...turn(),
        this.run(run, "run-end"),
      ];
    }).flat();
  }
}
