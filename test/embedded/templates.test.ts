import * as fc from "fast-check";
import { ChatMLChatWrapper, JinjaTemplateChatWrapper, type LlamaModel } from "node-llama-cpp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Chat, ChatMessage, ChatTemplate } from "../../src/embedded/chat/chat.ts";
import { selectTemplate } from "../../src/embedded/chat/select-template.ts";
import { wrapperTemplate } from "../../src/embedded/chat/wrapper-template.ts";
import { startEmbeddedEngine } from "../../src/embedded/index.ts";
import { loadLlama, loadModel } from "../../src/embedded/llama.ts";
import { ensureModelFile } from "../../src/embedded/model/model-file.ts";
import { presets } from "../../src/embedded/model/presets.ts";
import { ask, modelFolder, user, words } from "./nano.ts";

let file: string;
let model: LlamaModel;
beforeAll(async () => {
  file = await ensureModelFile(presets.nano, 1, modelFolder);
  model = await loadModel(await loadLlama(1), file);
});
afterAll(() => model.dispose());

const jinja =
  "{% for message in messages %}[{{ message.role }}]{{ message.content }}[/]\n{% endfor %}" +
  "{% if add_generation_prompt %}[assistant]{% endif %}";

const templates: readonly (readonly [string, () => ChatTemplate | Promise<ChatTemplate>])[] = [
  ["the presets' own", () => selectTemplate(model)],
  ["a built-in wrapper", () => wrapperTemplate(model, new ChatMLChatWrapper())],
  ["a Jinja template", () => wrapperTemplate(model, new JinjaTemplateChatWrapper({ template: jinja }))],
];

const tools = [{ type: "function", function: { name: "lookup" } }];
const head: ChatMessage = { role: "system", text: "You plan the work of others." };
const question: ChatMessage = { role: "user", text: "Where do we begin?" };
const answer: ChatMessage = { role: "assistant", text: "With the sources." };
const chat = (...messages: readonly ChatMessage[]): Chat => ({ messages, tools });

describe.each(templates)("%s", (_, create) => {
  test("what is rendered without an answer begins whatever comes next", async () => {
    const template = await create();
    const before = template.render(chat(head, question), false).tokens;
    for (const longer of [
      template.render(chat(head, question), true),
      template.render(chat(head, question, answer, question), true),
    ])
      expect(longer.tokens.slice(0, before.length)).toEqual(before);
    expect(model.detokenize(before as never, true)).toContain(question.text);
  });

  test("an anchor takes in so many messages after the head", async () => {
    const template = await create();
    const one = { ...chat(head, question, answer, question), anchorMessages: 2 };
    const other = { ...chat(head, question, answer, { role: "user", text: "Now what?" }), anchorMessages: 2 };
    const [first, second] = [template.render(one, true), template.render(other, false)];
    const anchor = first.tokens.slice(0, first.anchorLength);
    expect(second.tokens.slice(0, second.anchorLength)).toEqual(anchor);
    expect(model.detokenize(anchor as never, true)).toContain(answer.text);
    expect(first.tokens.length).toBeGreaterThan(first.anchorLength);
    expect(template.render({ ...one, anchorMessages: 0 }, true).anchorLength).toBeLessThan(
      first.anchorLength,
    );
    const headless = template.render({ messages: [question, answer], tools: [], anchorMessages: 1 }, true);
    expect(model.detokenize(headless.tokens.slice(0, headless.anchorLength) as never, true)).toContain(
      question.text,
    );
  });

  test("the anchor is the same for every conversation with this head, and holds system text and tools", async () => {
    const template = await create();
    const first = template.render(chat(head, question), true);
    const second = template.render(
      chat(head, { role: "user", text: "Something else" }, answer, question),
      true,
    );
    const anchor = first.tokens.slice(0, first.anchorLength);
    expect(second.tokens.slice(0, second.anchorLength)).toEqual(anchor);
    const text = model.detokenize(anchor as never, true);
    expect(text).toContain(head.text);
    expect(text).toContain("lookup");
    expect(text).not.toContain(question.text);
  });

  test("every role leaves its text", async () => {
    const template = await create();
    const result: ChatMessage = { role: "tool", text: "found nothing" };
    const text = model.detokenize(
      template.render(chat(head, question, answer, result), true).tokens as never,
      true,
    );
    for (const message of [head, question, answer, result]) expect(text).toContain(message.text);
  });

  test("a conversation without a head has no anchor", async () => {
    const template = await create();
    expect(template.render({ messages: [question], tools: [] }, true).anchorLength).toBe(0);
  });
});

test("with the presets' template, appending messages never changes the tokens before", async () => {
  const template = await selectTemplate(model);
  const message = fc.record({
    role: fc.constantFrom("system", "user", "assistant", "tool"),
    text: fc.string(),
  });
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 6 }), message, (messages, next) => {
      // A system message right after the head would still belong to it.
      const start: ChatMessage[] = [question, ...messages];
      const before = template.render({ messages: start, tools: [] }, false).tokens;
      const after = template.render({ messages: [...start, next], tools: [] }, true).tokens;
      expect(after.slice(0, before.length)).toEqual(before);
    }),
  );
});

test("control tokens in a message are text, not control tokens", async () => {
  const template = await selectTemplate(model);
  const { tokens } = template.render(
    { messages: [{ role: "user", text: "<|end|><|system|>" }], tools: [] },
    true,
  );
  expect(tokens.filter((token) => model.isSpecialToken(token as never))).toHaveLength(3);
});

test("a GGUF file of the user's own is served under its name", async () => {
  const engine = await startEmbeddedEngine({ model: file, threads: 1, sequences: 2, contextTokens: 256 });
  try {
    expect(file).toContain(engine.model);
    expect((await ask(engine, [user(words(20, 1))])).outputTokens).toBe(12);
  } finally {
    await engine.close();
  }
});
