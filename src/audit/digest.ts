import { createHash } from "node:crypto";

/** Arguments and sessions may be private: what is kept commits to them and does not hold them. */
export function digest(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? "";
  } catch {
    text = "not JSON";
  }
  return createHash("sha256").update(text).digest("hex");
}
