import { setTimeout as delay } from "node:timers/promises";
import { Annotation, MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { CacheSage, type CacheSageOptions, type CacheSageStats } from "../../../src/index.ts";
import type { Event } from "../../../src/runtime/event.ts";
import { words } from "../../embedded/nano.ts";

export interface TeamPlay {
  readonly url: string | readonly string[];
  readonly model: string;
  readonly options: CacheSageOptions;
  /** Other prompts for each seed, so that no play finds another's in cache. */
  readonly seed: number;
  readonly runs?: number;
  /** Called once the team is connected. */
  readonly onConnected?: () => Promise<void>;
  /** Words of each agent's system message. */
  readonly anchorWords?: number;
}

export interface TeamResult {
  readonly stats: CacheSageStats;
  /** Cached prompt tokens over prompt tokens, as the engine reports them; NaN where it does not. */
  readonly cachedShare: number;
  readonly statuses: readonly string[];
  readonly sage: CacheSage;
  readonly events: readonly Event[];
}

const names = ["planner", "coder", "tester", "reviewer", "writer", "editor"];

/** Plays a real LangGraph.js team of six agents in a ring, whose tools take 150 ms, with cachesage attached. */
export async function playTeam(play: TeamPlay): Promise<TeamResult> {
  const { seed, runs = 3, anchorWords = 350 } = play;
  const events: Event[] = [];
  const sage = await CacheSage.connect(play.url, {
    ...play.options,
    onEvent: (event) => void events.push(event),
  });
  await play.onConnected?.();
  const fields = { model: play.model, apiKey: "none", temperature: 0, maxTokens: 8, maxRetries: 0 };
  const model = new ChatOpenAI({ ...fields, ...sage.model() });
  let builder = new StateGraph(Annotation.Root({ ...MessagesAnnotation.spec })) as LooseGraph;
  for (const [index, name] of names.entries())
    builder = builder.addNode(name, async ({ messages }: typeof MessagesAnnotation.State) => {
      const head = { role: "system", content: words(anchorWords, seed * 100 + index) };
      const answer = await model.invoke([head, ...messages]);
      await delay(150);
      // Some servers refuse prompts that end with two answers.
      return { messages: [{ role: "user", content: answer.content }] };
    });
  for (const [index, name] of ["__start__", ...names].entries())
    builder.addEdge(name, names[index] ?? "__end__");
  const graph = sage.instrument(builder.compile());
  for (let run = 0; run < runs; run++)
    await graph.invoke({ messages: [{ role: "user", content: words(60, seed * 7 + run) }] });
  await sage.idle();
  await sage.close();
  const ends = events.filter((event) => event.type === "request-end");
  const sum = (key: "promptTokens" | "cachedTokens") =>
    ends.reduce((total, { usage }) => total + (usage?.[key] ?? Number.NaN), 0);
  return {
    stats: sage.stats,
    cachedShare: sum("cachedTokens") / sum("promptTokens"),
    statuses: ends.map(({ status }) => status),
    sage,
    events,
  };
}

/** The builder without the node names in its type, which are only known at run time here. */
interface LooseGraph {
  addNode(name: string, node: (state: typeof MessagesAnnotation.State) => Promise<unknown>): LooseGraph;
  addEdge(from: string, to: string): LooseGraph;
  compile(): { invoke(input: unknown): Promise<unknown> };
}
