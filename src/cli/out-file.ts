import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InvalidOptionsError } from "../errors.ts";

/**
 * Fails before the work is done whose result goes to a file, not after it. Throws InvalidOptionsError.
 *
 * @param owner command that was given the file.
 * @param flag where it was given.
 */
export async function checkOutFile(owner: string, flag: string, file: string): Promise<void> {
  let cause: unknown;
  try {
    await access(dirname(file), constants.W_OK);
    const found = await stat(file).catch(() => undefined);
    if (!found) return;
    await access(file, constants.W_OK);
    if (!found.isDirectory()) return;
  } catch (error) {
    cause = error;
  }
  throw new InvalidOptionsError(owner, `${flag}: cannot be written, got ${JSON.stringify(file)}`, {
    hint: "Give a file in a folder that exists and may be written to.",
    cause,
  });
}
