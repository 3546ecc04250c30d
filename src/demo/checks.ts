/** Questions about a file that its text alone decides. */
export const rules = [
  "exports",
  "contains",
  "lacks",
  "balanced",
  "documented",
  "max-lines",
  "max-columns",
] as const;
/** Name of a rule. */
export type Rule = (typeof rules)[number];

/** The answer to a rule. */
export interface Verdict {
  readonly passed: boolean;
  /** What was seen, as a clause: `line 4 exports createOrder`. */
  readonly evidence: string;
}

const EXPORTED = /^export (?:async )?(?:function|class|const|interface|type) (\w+)/;
const CLOSING = new Map([
  [")", "("],
  ["]", "["],
  ["}", "{"],
]);

/** Answers one rule for the lines of a file. */
export function evaluate(rule: Rule, argument: string, lines: readonly string[]): Verdict {
  switch (rule) {
    case "exports":
      return found(
        lines.findIndex((line) => EXPORTED.exec(line)?.[1] === argument),
        `exports ${argument}`,
      );
    case "contains":
      return found(
        lines.findIndex((line) => line.includes(argument)),
        `contains "${argument}"`,
      );
    case "lacks": {
      const seen = lines.findIndex((line) => line.includes(argument));
      return seen < 0
        ? { passed: true, evidence: `no line contains "${argument}"` }
        : { passed: false, evidence: `line ${seen + 1} contains "${argument}"` };
    }
    case "balanced":
      return balanced(lines);
    case "documented": {
      const bare = undocumented(lines);
      return bare < 0
        ? { passed: true, evidence: "a comment precedes every export" }
        : { passed: false, evidence: `the export in line ${bare + 1} has no comment above it` };
    }
    case "max-lines":
      return limited(lines.length, argument, "the file", "lines");
    case "max-columns":
      return limited(
        Math.max(0, ...lines.map((line) => line.length)),
        argument,
        "the longest line",
        "columns",
      );
  }
}

/** Index of the first export without a comment above it; -1 when there is none. */
export function undocumented(lines: readonly string[]): number {
  return lines.findIndex((line, index) => EXPORTED.test(line) && !/\*\/\s*$/.test(lines[index - 1] ?? ""));
}

function found(index: number, what: string): Verdict {
  return index < 0
    ? { passed: false, evidence: `no line ${what}` }
    : { passed: true, evidence: `line ${index + 1} ${what}` };
}

function limited(size: number, argument: string, what: string, unit: string): Verdict {
  const limit = Number(argument);
  if (argument.trim() === "" || !Number.isFinite(limit))
    return { passed: false, evidence: `the limit "${argument}" is not a number` };
  return { passed: size <= limit, evidence: `${what} has ${size} ${unit}, the limit is ${limit}` };
}

function balanced(lines: readonly string[]): Verdict {
  const open: { readonly bracket: string; readonly line: number }[] = [];
  for (const [index, line] of lines.entries()) {
    // Brackets inside string literals and line comments do not count.
    const code = line.replace(/"(?:[^"\\]|\\.)*"|\/\/.*$/g, "");
    for (const character of code) {
      if ("([{".includes(character)) open.push({ bracket: character, line: index + 1 });
      const wanted = CLOSING.get(character);
      if (wanted !== undefined && open.pop()?.bracket !== wanted)
        return { passed: false, evidence: `line ${index + 1} has a "${character}" that closes nothing` };
    }
  }
  const unclosed = open.at(-1);
  return unclosed
    ? { passed: false, evidence: `the "${unclosed.bracket}" of line ${unclosed.line} is never closed` }
    : { passed: true, evidence: `brackets match over all ${lines.length} lines` };
}
