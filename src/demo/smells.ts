import { undocumented } from "./checks.ts";

/** Something in a file that a reviewer objects to, and the lines that would put it right. */
export interface Smell {
  /** Counted from 1. */
  readonly line: number;
  readonly problem: string;
  /** What belongs in place of that line. */
  readonly repaired: readonly string[];
}

/** Every smell of a file, in line order. */
export function smellsOf(lines: readonly string[]): readonly Smell[] {
  const bare = undocumented(lines);
  return lines.flatMap((text, index) => {
    const line = index + 1;
    if (text.includes("console.log("))
      return [
        { line, problem: "prints to the console, which a library must leave to its caller", repaired: [] },
      ];
    if (index === bare) {
      const name = /(\w+)\s*[(<={]/.exec(text)?.[1] ?? "This";
      return [
        {
          line,
          problem: "exports something without saying what it promises",
          repaired: [`/** ${name}: pure, throws RangeError on what it cannot accept. */`, text],
        },
      ];
    }
    if (/^ {2}(?!readonly )\w+: [^=]*;$/.test(text))
      return [
        {
          line,
          problem: "declares a field that any caller could change",
          repaired: [text.replace(/^ {2}/, "  readonly ")],
        },
      ];
    const variable = /^\s+let (\w+) = /.exec(text)?.[1];
    if (variable !== undefined && !reassigned(variable, lines))
      return [
        {
          line,
          problem: `declares ${variable} with let although nothing assigns it again`,
          repaired: [text.replace("let ", "const ")],
        },
      ];
    return [];
  });
}

function reassigned(variable: string, lines: readonly string[]): boolean {
  const assignment = new RegExp(`^\\s*${variable} (?:[-+*/]?=) `);
  return lines.some((line) => assignment.test(line));
}
