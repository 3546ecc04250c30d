import { capitalised, pick } from "./turn.ts";
import type { ModuleContract } from "./workspace.ts";

interface Sketch {
  readonly purpose: (topic: string) => string;
  readonly exports: (name: string) => readonly string[];
  readonly code: (topic: string, name: string) => string;
}

/** Small modules that most programs need, by the last word of their file name. */
const sketches: Readonly<Record<string, Sketch>> = {
  store: {
    purpose: (topic) => `keeps each ${topic} by its id`,
    exports: (name) => [`create${name}Store`],
    code: (topic, name) => `/** What the store needs to know of a ${topic}. */
export interface Stored${name} {
  readonly id: string;
  readonly revision: number;
}

/** Keeps each ${topic} by its id; the newest revision wins. */
export function create${name}Store<T extends Stored${name}>() {
  const byId = new Map<string, T>();
  return {
    save(${topic}: T): void {
      const known = byId.get(${topic}.id);
      if (known && known.revision >= ${topic}.revision)
        throw new RangeError(\`${topic} \${known.id} is already at revision \${known.revision}\`);
      byId.set(${topic}.id, ${topic});
    },
    find: (id: string): T | undefined => byId.get(id),
    remove: (id: string): boolean => byId.delete(id),
    list: (): readonly T[] => [...byId.values()],
  };
}`,
  },
  rules: {
    purpose: (topic) => `says what is wrong with a ${topic} before anything else sees it`,
    exports: (name) => [`validate${name}`],
    code: (topic, name) => `interface ${name}Input {
  readonly name: string;
  readonly amount: number;
}

/** Lists what is wrong with a ${topic}; empty when nothing is. */
export function validate${name}(${topic}: ${name}Input): readonly string[] {
  const problems: string[] = [];
  const name = ${topic}.name.trim();
  if (name === "") problems.push("${topic} has no name");
  if (name.length > 80) problems.push(\`${topic} name has \${name.length} characters, at most 80 fit\`);
  if (!Number.isFinite(${topic}.amount)) problems.push(\`${topic} amount is \${${topic}.amount}\`);
  else if (${topic}.amount < 0) problems.push(\`${topic} amount is negative: \${${topic}.amount}\`);
  return problems;
}`,
  },
  codec: {
    purpose: (topic) => `turns a ${topic} into a line of text and back without loss`,
    exports: (name) => [`format${name}`, `parse${name}`],
    code: (topic, name) => `/** Writes a ${topic} as key=value pairs, keys in order. */
export function format${name}(${topic}: Readonly<Record<string, string>>): string {
  const keys = Object.keys(${topic}).toSorted();
  const pairs = keys.map((key) => [key, ${topic}[key] ?? ""].map(encodeURIComponent).join("="));
  return pairs.join("&");
}

/** Reads what format${name} wrote; throws RangeError on anything else. */
export function parse${name}(text: string): Record<string, string> {
  const ${topic}: Record<string, string> = {};
  for (const pair of text === "" ? [] : text.split("&")) {
    const split = pair.indexOf("=");
    if (split < 1) throw new RangeError(\`${topic} pair needs key=value, got \${pair}\`);
    ${topic}[decodeURIComponent(pair.slice(0, split))] = decodeURIComponent(pair.slice(split + 1));
  }
  return ${topic};
}`,
  },
  queue: {
    purpose: (topic) => `hands out each ${topic} in order and limits how many wait`,
    exports: (name) => [`create${name}Queue`],
    code: (topic, name) => `interface ${name}QueueOptions {
  readonly capacity: number;
}

/** First in, first out; refuses a ${topic} when \`capacity\` are waiting. */
export function create${name}Queue<T>(options: ${name}QueueOptions) {
  const waiting: T[] = [];
  let refused = 0;
  return {
    offer(${topic}: T): boolean {
      const full = waiting.length >= options.capacity;
      if (full) {
        refused += 1;
        return false;
      }
      waiting.push(${topic});
      return true;
    },
    take: (): T | undefined => waiting.shift(),
    size: (): number => waiting.length,
    refused: (): number => refused,
  };
}`,
  },
  report: {
    purpose: (topic) => `adds up what the user asks about each ${topic}`,
    exports: (name) => [`summarise${name}`],
    code: (_topic, name) => `interface ${name}Total {
  readonly key: string;
  readonly count: number;
  readonly sum: number;
}

/** Totals per key, largest sum first; equal sums keep the order of their keys. */
export function summarise${name}(
  rows: Iterable<readonly [key: string, value: number]>,
): readonly ${name}Total[] {
  const totals = new Map<string, ${name}Total>();
  for (const [key, value] of rows) {
    const total = totals.get(key) ?? { key, count: 0, sum: 0 };
    totals.set(key, { key, count: total.count + 1, sum: total.sum + value });
  }
  const ordered = [...totals.values()].toSorted((a, b) => b.sum - a.sum || a.key.localeCompare(b.key));
  return ordered;
}`,
  },
};

/** Contracts that a task about `topic` is likely to need. */
export function contractsFor(topic: string): readonly ModuleContract[] {
  const paths = Object.keys(sketches).map((kind) => `src/${topic}-${kind}.ts`);
  return Object.entries(sketches).map(([kind, sketch], index) => ({
    path: `src/${topic}-${kind}.ts`,
    purpose: sketch.purpose(topic),
    exports: sketch.exports(capitalised(topic)),
    uses: kind === "queue" || kind === "report" ? [paths[index - 1] ?? ""] : [],
  }));
}

/** A first version of the file behind a contract; about half of them have one flaw for others to find. */
export function draft(contract: ModuleContract, random: () => number): readonly string[] {
  const [, topic = "record", kind = "store"] = /([a-z]+)-([a-z]+)\.ts$/.exec(contract.path) ?? [];
  const sketch = sketches[Object.hasOwn(sketches, kind) ? kind : "store"];
  const lines = sketch?.code(topic, capitalised(topic)).split("\n") ?? [];
  return random() < 0.5 ? pick(flaws, random)(lines) : lines;
}

/** Slips of the kind that people make. */
const flaws: readonly ((lines: readonly string[]) => readonly string[])[] = [
  (lines) => {
    const signature = lines.findIndex((line) => line.startsWith("export function"));
    const body = lines.findIndex((line, index) => index >= signature && line.endsWith("{"));
    return lines.toSpliced(body + 1, 0, '  console.log("called");');
  },
  (lines) => {
    const comment = lines.findIndex((line) => line.startsWith("/**"));
    return lines.toSpliced(comment, 1);
  },
  (lines) => {
    const field = lines.findIndex((line) => line.startsWith("  readonly "));
    return field < 0 ? lines : lines.with(field, (lines[field] ?? "").replace("readonly ", ""));
  },
  (lines) => {
    const constant = lines.findIndex((line) => /^\s+const \w+ = /.test(line));
    return constant < 0 ? lines : lines.with(constant, (lines[constant] ?? "").replace("const ", "let "));
  },
];
