import { z } from "zod";
import type { EngineHttp } from "./engine-http.ts";

const models = z.object({ data: z.array(z.object({ id: z.string() })) });

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
