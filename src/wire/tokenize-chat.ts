import { z } from "zod";
import type { EngineHttp } from "./engine-http.ts";

const answer = z.object({ tokens: z.array(z.int()) });

/** Token ids of a chat prompt by `/tokenize`, as vLLM and SGLang offer it, without the opening of an answer. */
export async function tokenizeChat(
  http: EngineHttp,
  body: unknown,
  signal: AbortSignal | undefined,
): Promise<readonly number[]> {
  const { model, messages, tools } = body as { model?: unknown; messages?: unknown; tools?: unknown };
  const asked = { model, messages, ...(tools !== undefined && { tools }), add_generation_prompt: false };
  return answer.parse(await http.json("/tokenize", { body: asked, signal })).tokens;
}
