import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { LlamaContextSequence } from "node-llama-cpp";

/** node-llama-cpp has this but does not declare it; a version without it falls back to state files. */
const directCopy = "_copyStateFromOtherSequence";

interface DirectCopy {
  [directCopy]?(source: LlamaContextSequence, length: number): Promise<boolean>;
}

/** Makes `target` hold the first `length` tokens of `source`. No decode may be under way. */
export async function copySequence(
  source: LlamaContextSequence,
  target: LlamaContextSequence,
  length: number,
): Promise<void> {
  const direct: LlamaContextSequence & DirectCopy = target;
  if (typeof direct[directCopy] === "function") await direct[directCopy](source, length);
  else await copyThroughFile(source, target);
  await truncateSequence(target, length);
}

/** Erases what a sequence holds from position `length` on. */
export async function truncateSequence(sequence: LlamaContextSequence, length: number): Promise<void> {
  if (sequence.nextTokenIndex <= length) return;
  await sequence.eraseContextTokenRanges([{ start: length, end: sequence.nextTokenIndex }]);
}

async function copyThroughFile(source: LlamaContextSequence, target: LlamaContextSequence): Promise<void> {
  const file = path.join(tmpdir(), `cachesage-${randomUUID()}.state`);
  try {
    await source.saveStateToFile(file);
    await target.loadStateFromFile(file, { acceptRisk: true });
  } finally {
    await rm(file, { force: true });
  }
}
