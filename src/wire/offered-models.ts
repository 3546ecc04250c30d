import { z } from "zod";
import { EngineError } from "../errors.ts";
import type { EngineHttp } from "./engine-http.ts";

const models = z.object({ data: z.array(z.object({ id: z.string() })) });
const ownedModels = z.object({
  data: z.array(z.object({ id: z.string(), owned_by: z.string().nullish() })).min(1),
});

/** What engines say owns their models, where that tells one from another. */
const OWNERS: Readonly<Record<string, string>> = {
  vllm: "vllm",
  sglang: "sglang",
  tensorrt_llm: "tensorrt-llm",
  llamacpp: "llama-server",
};

/**
 * Ids of the models that a server offers at `/v1/models`, as OpenAI's API and those like it list them.
 *
 * @throws EngineError when it cannot be asked, ZodError when it answers in another shape.
 */
export async function offeredModels(
  http: EngineHttp,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  return models.parse(await http.probe("/v1/models", signal)).data.map(({ id }) => id);
}

/**
 * The same, one at least, of an engine that is known by its models' owner; `isOwn` where that is the owner.
 *
 * @throws EngineError `ENGINE_UNSUPPORTED` as well, when the owner is another engine.
 */
export async function ownModels(
  http: EngineHttp,
  engine: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly ids: readonly string[]; readonly isOwn: boolean }> {
  const { data } = ownedModels.parse(await http.probe("/v1/models", signal));
  const owner = OWNERS[data[0]?.owned_by ?? ""];
  if (owner !== undefined && owner !== engine)
    throw new EngineError("ENGINE_UNSUPPORTED", engine, `${http.root} says that it is ${owner}`, {
      hint: "Name the engine that runs there.",
    });
  return { ids: data.map(({ id }) => id), isOwn: owner === engine };
}
