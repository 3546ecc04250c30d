import type { LlamaModel } from "node-llama-cpp";
import type { ChatTemplate } from "./chat.ts";
import { controlTemplate, hasControlTokens } from "./control-template.ts";
import { wrapperTemplate } from "./wrapper-template.ts";

/** The template a model was made for, or the presets' one where it brings none. */
export async function selectTemplate(model: LlamaModel): Promise<ChatTemplate> {
  const declared = model.fileInfo.metadata.tokenizer.chat_template;
  if (hasControlTokens(model) || declared === undefined) return controlTemplate(model);
  const { resolveChatWrapper } = await import("node-llama-cpp");
  return wrapperTemplate(model, resolveChatWrapper(model));
}
