import { type Arm, armsInTurn, inOrder } from "../arms/arm.ts";
import { type ArmRow, toRow } from "../arms/rows.ts";
import { playTeam } from "./arms.ts";
import { fittingModel } from "./fitting-model.ts";
import { drawPath, random, type Route } from "./routing.ts";
import { tasks as realTasks } from "./tasks.ts";

export interface DemoOptions {
  readonly tasks: readonly string[] | undefined;
  readonly seed: readonly number[];
  readonly runs: number;
  readonly concurrency: number;
  readonly kvTokens: number;
  readonly toolMs: number;
  readonly answerTokens: number;
  readonly route: Route;
  /** Undefined: the preset that fits the machine. */
  readonly model?: string | undefined;
  readonly engine?: string | undefined;
  readonly engineName?: string;
  readonly engineOptions?: Readonly<Record<string, unknown>>;
  readonly arms: readonly Arm[];
  readonly signal: AbortSignal;
  /** Told what goes on; `finished` when an arm is over. */
  readonly progress: (text: string, finished: boolean) => void;
}

/** One arm of one seed, as `--json` prints it. */
export interface DemoRow extends ArmRow {
  readonly route: Route;
}

export interface DemoResult {
  readonly rows: readonly DemoRow[];
  /** What a reader of the rows has to know. */
  readonly notes: readonly string[];
}

/**
 * Plays every seed in every arm, the order of arms rotating from seed to seed.
 *
 * All arms of a seed get the same tasks, agents, tool times and prompts. Prompts are kept equal by pinning answers:
 * the text that the first arm's model gave is what goes into the shared messages in every arm (each arm still
 * computes its own answer; how many differed is reported, since rounding may turn a near tie).
 */
export async function playDemo(options: DemoOptions): Promise<DemoResult> {
  const rows: DemoRow[] = [];
  let differing = 0;
  let unnamed = 0;
  let answers = 0;
  // A server that runs already cannot be told to forget.
  const isOwn = options.engine === undefined;
  const played = isOwn ? options.arms : options.arms.filter((arm) => arm !== "none");
  const model = options.model ?? (isOwn ? await chooseModel(options) : "");
  for (const [turn, seed] of options.seed.entries()) {
    const pinned = Array.from({ length: options.runs }, () => new Map<number, string>());
    for (const arm of armsInTurn(played, turn)) {
      const runs = pinned.map((pins, index) => plan(options, seed, index, pins));
      let done = 0;
      const label = `seed ${seed}, ${arm}`;
      const started = performance.now();
      options.progress(`${label}: 0/${runs.length} runs`, false);
      const result = await playTeam(arm, {
        ...options,
        model,
        runs,
        engine: options.engine,
        nonce: `${seed}-${arm}`,
        onRun: () => options.progress(`${label}: ${++done}/${runs.length} runs`, false),
      });
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      options.progress(
        `${label}: ${runs.length} runs, ${result.log.calls.length} calls in ${seconds} s`,
        true,
      );
      differing += result.log.differingAnswers;
      unnamed += result.log.unnamedRoutes;
      answers += result.log.calls.length;
      const { arm: named, ...row } = toRow(arm, seed, result);
      rows.push({ arm: named, route: options.route, ...row });
    }
  }
  const notes = [
    `${differing} of ${answers} answers differed from the pinned text of the first arm; prompts are equal in all arms.`,
    ...(options.route === "llm"
      ? [`${unnamed} of ${answers} answers named no next agent; the table decided.`]
      : []),
  ];
  return { rows: inOrder(rows), notes };
}

async function chooseModel({ signal, progress }: DemoOptions): Promise<string> {
  progress("choosing a model for this machine", false);
  const { model, prefillMs } = await fittingModel(signal);
  progress(`model ${model}: 1,000 tokens of prompt take ${prefillMs.toFixed(0)} ms here`, true);
  return model;
}

/** The path, tool times and tool arguments of one run, the same whenever seed and index are. */
function plan(options: DemoOptions, seed: number, index: number, answers: Map<number, string>) {
  const tasks = options.tasks ?? realTasks;
  const route = options.route === "random" ? "random" : "table";
  return {
    task: tasks[(index + seed) % tasks.length] as string,
    path: drawPath(route, random(seed, index, 1)),
    random: random(seed, index, 2),
    answers,
  };
}
