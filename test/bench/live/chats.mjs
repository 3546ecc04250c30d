import { MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import {
  drawFrom,
  embedded,
  hitsAndTtft,
  LRU_AND_HINTS,
  pause,
  streamed,
  withApp,
  words,
} from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";

const EXPERTS = ["billing", "shipping", "returns"];
/** With `pico`, client and server take as much of the time to the first token as prompts do. */
const MODEL = "nano";

/** A help desk: triage looks at the question alone, then an expert at the whole conversation, which a checkpointer keeps. */
function helpDesk(model) {
  const ask = (agent, messages) =>
    streamed(model, [{ role: "system", content: words(80, agent) }, ...messages]);
  const builder = new StateGraph(MessagesAnnotation).addNode("triage", async ({ messages }) => {
    await ask("triage", messages.slice(-1));
    return { messages: [] };
  });
  for (const expert of EXPERTS)
    builder
      .addNode(expert, async ({ messages }, { configurable: { draw } }) => {
        await ask(expert, messages);
        await pause(200 + draw(600));
        const looked = { role: "assistant", content: words(12 + draw(36), `${expert}${draw(1_000_000)}-`) };
        await ask(expert, [...messages, looked]);
        return { messages: [looked] };
      })
      .addEdge(expert, "__end__");
  builder.addEdge(START, "triage");
  builder.addConditionalEdges("triage", (_state, { configurable: { expert } }) => expert, EXPERTS);
  return builder.compile({ checkpointer: new MemorySaver() });
}

/** Twelve people with three chats each, one after the other: two in five end after a question, the others take three to six. */
async function played({ cacheHints, order }, seed) {
  const connect = embedded({ model: MODEL, kvTokens: 6144, order });
  const play = async ({ sage, model }) => {
    const graph = sage.instrument(helpDesk(model));
    const chat = async (number) => {
      const draw = drawFrom(1000 * seed + number);
      const expert = EXPERTS[Math.min(draw(3), draw(3))];
      for (let left = draw(5) < 2 ? 1 : 3 + draw(4); left > 0; left--) {
        const question = { role: "user", content: words(16, `question${draw(1_000_000)}-`) };
        const configurable = { thread_id: `chat ${number}`, expert, draw };
        await graph.invoke({ messages: [question] }, { configurable });
        await pause(1000 + draw(3000));
      }
    };
    const person = async (number) => {
      // They do not all come at once.
      await pause(400 * number);
      for (let i = 0; i < 3; i++) await chat(10 * number + i);
    };
    await Promise.all(Array.from({ length: 12 }, (_, number) => person(number)));
  };
  const { calls } = await withApp(connect, { "prefix-cache": cacheHints }, play, {
    model: MODEL,
    cacheHints,
  });
  return hitsAndTtft(calls);
}

export default () =>
  compareArms("prefix-cache", LRU_AND_HINTS, played, {
    hitRate: "hit rate of a help desk whose chats go on after a pause",
    ttft: "mean TTFT, ms",
  });
