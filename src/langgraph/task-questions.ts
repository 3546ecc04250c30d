import { setImmediate as turn } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import { type ConfigLike, isObject } from "./shapes.ts";

/** What LangGraph keeps of a task's interrupts while its node runs. Answers come by the order of interrupts alone. */
interface Scratchpad {
  /** Place of the last interrupt, from 0; -1 before the first one, and again when a failed node is tried once more. */
  interruptCounter: number;
  readonly resume: readonly unknown[];
  /** An answer that no interrupt has taken yet: it is to the one at `resume.length`. */
  readonly nullResume?: unknown;
}

/** Questions of a task, which keeps its id when its node runs again with an answer. */
interface Task {
  /** By place of the interrupt; the other places are those of the app's own interrupts. */
  readonly asked: Map<number, string>;
  /** All that came up, also those that have to wait until another one is answered. */
  readonly known: Set<string>;
  /** So many answers were there when this process first saw the task; what they are to was asked in another one. */
  readonly inherited: number;
}

/** One run of a task's node. */
interface Attempt {
  /** Places whose answers are taken. */
  readonly used: Set<number>;
  /** LangGraph's counter as it was left. */
  counter: number;
  /** What the node is interrupted by. */
  interrupt?: unknown;
}

/** The answer was to a question that has not come up again. */
export class OtherQuestionError extends Error {
  override name = "OtherQuestionError";
}

const tasks = new LRUCache<string, Task>({ max: 10_000 });
const attempts = new WeakMap<object, Attempt>();

/**
 * Asks by a LangGraph interrupt; resolves to the answer. Of several questions of a node at once one is asked, and when the
 * node runs again with its answer the next one: until then all of them reject with the first one's interrupt, those with an
 * answer as well, so that nothing is done that the node would do again.
 *
 * @param config of the node.
 * @throws LangGraph's own error until there is an answer, and OtherQuestionError.
 */
export async function askTask(request: object, config: ConfigLike): Promise<unknown> {
  const [{ interrupt }, { AsyncLocalStorageProviderSingleton: storage }] = await Promise.all([
    import("@langchain/langgraph"),
    import("@langchain/core/singletons"),
  ]);
  const put = () => storage.runWithConfig(config, () => interrupt(request) as unknown);
  const { __pregel_task_id: id, __pregel_scratchpad: scratchpad } = config.configurable ?? {};
  if (typeof id !== "string" || !isScratchpad(scratchpad)) return put();
  // Calls that a node makes together have all come by then, and the app's own interrupts among them have their places.
  await turn();
  const attempt = attemptOf(scratchpad);
  const answer = take(JSON.stringify(request), taskOf(id, scratchpad), attempt, scratchpad, put);
  await turn();
  if (attempt.interrupt !== undefined) throw attempt.interrupt;
  return answer;
}

/** The answer to a question, by LangGraph's own books; throws as `askTask` does. */
function take(
  question: string,
  task: Task,
  attempt: Attempt,
  scratchpad: Scratchpad,
  put: () => unknown,
): unknown {
  const { asked, known } = task;
  const isKnown = known.has(question);
  known.add(question);
  if (attempt.interrupt !== undefined) throw attempt.interrupt;
  const before = scratchpad.interruptCounter;
  const isPending = scratchpad.nullResume !== undefined;
  const untaken: number[] = [];
  for (let place = 0; place < scratchpad.resume.length + (isPending ? 1 : 0); place++)
    if (!attempt.used.has(place)) untaken.push(place);
  const place =
    untaken.find((one) => asked.get(one) === question) ??
    untaken.find((one) => one < task.inherited && one > before && !asked.has(one));
  if (place !== undefined) asked.set(place, question);
  const isPendingOurs = isPending && asked.has(scratchpad.resume.length);
  // One that was asked together with another one waits for its turn; one that is new in place of it is another question.
  const isReplaced = place === undefined && !isKnown && untaken.some((one) => asked.has(one));
  if (isReplaced || (place === undefined && isPending && !isPendingOurs))
    throw new OtherQuestionError("the answer was to another question");
  const answers = scratchpad.resume.length + (isPendingOurs ? 1 : 0);
  if (answers > 0) {
    // At the last answer LangGraph takes in one that is pending, and keeps all of them for when the node runs again.
    scratchpad.interruptCounter = answers - 2;
    put();
  }
  if (place !== undefined) {
    attempt.used.add(place);
    attempt.counter = scratchpad.interruptCounter = Math.max(before, place);
    return scratchpad.resume[place];
  }
  scratchpad.interruptCounter = answers - 1;
  try {
    return put();
  } catch (error) {
    attempt.counter = scratchpad.interruptCounter = Math.max(before, answers);
    if (!isInterrupt(error)) throw error;
    attempt.interrupt = error;
    // Else the app has interrupted the node itself, and the next answer will be to that.
    if (before < answers) asked.set(answers, question);
    throw error;
  }
}

function taskOf(id: string, { resume, nullResume }: Scratchpad): Task {
  const known = tasks.get(id);
  if (known) return known;
  const inherited = resume.length + (nullResume === undefined ? 0 : 1);
  const task: Task = { asked: new Map(), known: new Set(), inherited };
  tasks.set(id, task);
  return task;
}

function attemptOf(scratchpad: Scratchpad): Attempt {
  const known = attempts.get(scratchpad);
  if (known && scratchpad.interruptCounter >= known.counter) return known;
  const attempt: Attempt = { used: new Set(), counter: -1 };
  attempts.set(scratchpad, attempt);
  return attempt;
}

function isScratchpad(value: unknown): value is Scratchpad {
  return isObject(value) && typeof value["interruptCounter"] === "number" && Array.isArray(value["resume"]);
}

/** LangGraph's own errors, which it takes for no failure. */
export function isInterrupt(error: unknown): boolean {
  return isObject(error) && error["is_bubble_up"] === true;
}
