import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InvalidOptionsError } from "../errors.ts";

/**
 * Fails before the work that a plot shows is done, not after it. Throws InvalidOptionsError.
 *
 * @param owner command that was given the file.
 */
export async function checkPlotFile(owner: string, file: string): Promise<void> {
  try {
    await access(dirname(file), constants.W_OK);
    if (
      !(await stat(file).then(
        (found) => found.isDirectory(),
        () => false,
      ))
    )
      return;
  } catch (cause) {
    throw problem(owner, file, cause);
  }
  throw problem(owner, file);
}

function problem(owner: string, file: string, cause?: unknown): InvalidOptionsError {
  return new InvalidOptionsError(owner, `--plot: cannot be written, got ${JSON.stringify(file)}`, {
    hint: "Give a file in a folder that exists.",
    cause,
  });
}
