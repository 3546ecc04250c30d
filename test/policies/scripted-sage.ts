import { ChatOpenAI, type ChatOpenAIFields } from "@langchain/openai";
import { CacheSage, type CacheSageOptions } from "../../src/index.ts";
import { ScriptedServer, type Script } from "../langgraph/scripted-server.ts";

/** cachesage in front of a scripted server, with these policies alone. */
export interface ScriptedSage extends AsyncDisposable {
  readonly server: ScriptedServer;
  readonly sage: CacheSage;
  model(fields?: ChatOpenAIFields): ChatOpenAI;
  /** Verdicts in the ledger, oldest first, as `policy: verdict agent`. */
  verdicts(): readonly string[];
}

export async function scriptedSage(
  policies: CacheSageOptions["policies"],
  script?: Script,
  options: CacheSageOptions = {},
): Promise<ScriptedSage> {
  const server = await ScriptedServer.start(script);
  const sage = await CacheSage.connect({
    policies: { "prefix-cache": false, ...policies },
    engine: {
      specificationVersion: "v1",
      name: "scripted",
      baseURL: server.url,
      apiKey: "local",
      supports: {},
      connect: async () => ({ engine: "scripted", models: ["scripted"] }),
      apply: async (hints) => hints.map(() => ({ status: "applied" })),
      close: async () => {},
    },
    onFault: (where, error) => {
      console.error(where, error);
    },
    ...options,
  });
  return {
    server,
    sage,
    model: (fields) => new ChatOpenAI(sage.model({ model: "scripted", maxRetries: 0, ...fields })),
    verdicts: () =>
      [...sage.ledger]
        .flatMap(({ policy, action }) =>
          "call" in action ? `${policy}: ${action.type} ${action.call.agent}` : [],
        )
        .toReversed(),
    [Symbol.asyncDispose]: async () => {
      await sage.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A model that calls `tool` once for each of these arguments, one after the other, and then says it is done. */
export function callsTool(name: string, ...calls: readonly object[]): Script {
  return ({ body }) => {
    const made = (body.messages ?? []).filter(({ role }) => role === "tool").length;
    const given = calls[made];
    return given ? { tool: { name, arguments: given, id: `call_${made}` } } : { text: "done" };
  };
}
