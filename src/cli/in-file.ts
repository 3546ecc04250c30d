import { access, constants, stat } from "node:fs/promises";
import { InvalidOptionsError } from "../errors.ts";

/**
 * Tells a file that was named wrongly from one whose content is at fault. Throws InvalidOptionsError when there is none of that
 * name, it is a folder, or it may not be read.
 *
 * @param owner command that was given the file.
 * @param place where it was given: a flag, or an argument in brackets.
 * @param hint what to do about it.
 */
export async function checkInFile(owner: string, place: string, file: string, hint?: string): Promise<void> {
  const complain = (problem: string, cause?: unknown): never => {
    throw new InvalidOptionsError(owner, `${place}: ${problem}, got ${JSON.stringify(file)}`, {
      ...(hint !== undefined && { hint }),
      cause,
    });
  };
  try {
    if ((await stat(file)).isDirectory()) complain("is a folder, not a file");
    await access(file, constants.R_OK);
  } catch (error) {
    if (error instanceof InvalidOptionsError) throw error;
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    complain(isMissing ? "there is no such file" : "the file may not be read", error);
  }
}

/** The same for a recorded workload. */
export function checkTrace(owner: string, place: string, file: string): Promise<void> {
  return checkInFile(
    owner,
    place,
    file,
    "Record one: cachesage record --out trace.jsonl -- node app.mjs, or give an export in a format that inspect reads.",
  );
}
