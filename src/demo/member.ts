import type { z } from "zod";
import type { Turn } from "./turn.ts";
import type { Workspace } from "./workspace.ts";

/** A tool of the demo team: it really does something to the run's in-memory workspace. */
export interface DemoTool {
  readonly name: string;
  readonly description: string;
  /** Arguments; the JSON schema the model sees comes from it. */
  readonly schema: z.ZodObject;
  /** Returns what the agent reads: 15 to 130 words of plain text. Throws ZodError on arguments outside the schema. */
  run(args: Readonly<Record<string, unknown>>, workspace: Workspace): string;
}

/** What a member does when the model cannot call tools itself. */
export interface ToolCall {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** One agent of the demo team. System message and tools together are its anchor. */
export interface Member {
  readonly name: string;
  readonly system: string;
  readonly tools: readonly DemoTool[];
  /** Names it may hand over to, `END` among them where it may finish; the system message lists the same. */
  readonly next: readonly string[];
  /** Picks a tool call for this turn, the same one for the same turn and workspace. */
  act(turn: Turn, workspace: Workspace): ToolCall;
}

/** Types a tool's arguments by its schema, and checks them on every run. */
export function defineTool<Schema extends z.ZodObject>(tool: {
  readonly name: string;
  readonly description: string;
  readonly schema: Schema;
  readonly run: (args: z.output<Schema>, workspace: Workspace) => string;
}): DemoTool {
  return { ...tool, run: (args, workspace) => tool.run(tool.schema.parse(args), workspace) };
}

/** The paragraph that ends every system message: how to name the next agent. */
export function handOver(next: readonly string[]): string {
  const name = next.includes("END") ? "<agent or END>" : "<agent>";
  return `End with exactly one line \`NEXT: ${name}\`, naming one of: ${next.join(", ")}.`;
}
