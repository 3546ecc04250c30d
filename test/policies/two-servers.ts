import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai";
import { CacheSage, type CacheSageOptions } from "../../src/index.ts";
import type { Hint } from "../../src/runtime/action.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import type { Event } from "../../src/runtime/event.ts";
import { createReplicas } from "../../src/wire/replicas.ts";
import { ScriptedServer, type Script } from "../langgraph/scripted-server.ts";

/** cachesage in front of two servers that speak HTTP, as one engine. */
export interface TwoServers extends AsyncDisposable {
  readonly servers: readonly [ScriptedServer, ScriptedServer];
  readonly sage: CacheSage;
  readonly events: Event[];
  readonly faults: unknown[];
  /** Hints by server, in the order in which they came. */
  readonly hints: readonly [Hint[], Hint[]];
  model(fields?: ChatOpenAIFields): ChatOpenAI;
  /** Runs a graph of one node, `worker`, which invokes or streams the model; the text of its answer. */
  ask(model: ChatOpenAI, content: string, given?: AskOptions): Promise<string>;
}

interface AskOptions {
  readonly session?: string;
  readonly isStreamed?: boolean;
  readonly signal?: AbortSignal;
  readonly system?: string;
}

export async function twoServers(
  scripts: readonly [Script, Script],
  options: CacheSageOptions,
  count: 1 | 2 = 2,
): Promise<TwoServers> {
  const servers = [await ScriptedServer.start(scripts[0]), await ScriptedServer.start(scripts[1])] as const;
  const hints: readonly [Hint[], Hint[]] = [[], []];
  const adapters = servers.map((server, index): EngineAdapter => ({
    specificationVersion: "v1",
    name: "scripted",
    baseURL: server.url,
    apiKey: "local",
    supports: { retain: "native", release: "native", prefetch: "native" },
    connect: async () => ({ engine: "scripted", models: ["scripted"] }),
    apply: async (given) => {
      hints[index]?.push(...given);
      return given.map(() => ({ status: "applied" }));
    },
    close: async () => {},
  }));
  const events: Event[] = [];
  const faults: unknown[] = [];
  const sage = await CacheSage.connect({
    engine: createReplicas(adapters.slice(0, count)),
    onEvent: (event) => void events.push(event),
    onFault: (_where, error) => void faults.push(error),
    ...options,
    policies: { "prefix-cache": false, ...options.policies },
  });
  return {
    servers,
    sage,
    events,
    faults,
    hints,
    model: (fields) => new ChatOpenAI(sage.model({ model: "scripted", maxRetries: 0, ...fields })),
    ask: async (model, content, { session, isStreamed, signal, system = "You answer." } = {}) => {
      const graph = sage.instrument(
        new StateGraph(MessagesAnnotation)
          .addNode("worker", async ({ messages }, config) => {
            const prompt = [{ role: "system", content: system }, ...messages];
            if (!isStreamed) return { messages: [await model.invoke(prompt, config)] };
            let answer;
            for await (const chunk of await model.stream(prompt, config))
              answer = answer ? answer.concat(chunk) : chunk;
            return { messages: answer ? [answer] : [] };
          })
          .addEdge(START, "worker")
          .compile(),
      );
      const config = {
        ...(session !== undefined && { configurable: { thread_id: session } }),
        ...(signal && { signal }),
      };
      const { messages } = await graph.invoke({ messages: [{ role: "user", content }] }, config);
      return messages.at(-1)?.text ?? "";
    },
    [Symbol.asyncDispose]: async () => {
      await sage.close();
      for (const server of servers) await server[Symbol.asyncDispose]();
    },
  };
}
