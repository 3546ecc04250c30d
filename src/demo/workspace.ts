import { evaluate, type Rule, type Verdict } from "./checks.ts";

/** How far a step of the plan is. */
export type ItemStatus = "open" | "started" | "done";
/** One step of the plan. */
export interface PlanItem {
  readonly id: string;
  readonly title: string;
  readonly doneWhen: string;
  readonly owner: string;
  /** Ids of the items that must be done first. */
  readonly after: readonly string[];
  readonly status: ItemStatus;
}
/** A design choice and why it was made. */
export interface Decision {
  readonly id: string;
  readonly title: string;
  readonly choice: string;
  readonly reason: string;
}
/** What a file is for, what it exports and which other files it may import. */
export interface ModuleContract {
  readonly path: string;
  readonly purpose: string;
  readonly exports: readonly string[];
  readonly uses: readonly string[];
}
/** A file as it is now. */
export interface SourceFile {
  readonly path: string;
  readonly lines: readonly string[];
  /** Counts from 1; every change adds one. */
  readonly revision: number;
}
/** A question about a file that has a yes-or-no answer, and the answer last given. */
export interface Check {
  readonly id: string;
  readonly path: string;
  readonly rule: Rule;
  readonly argument: string;
  /** Absent until the check has run. */
  readonly verdict?: Verdict & { readonly revision: number };
}
/** How bad a finding is; a blocker must not ship. */
export type Severity = "blocker" | "major" | "minor";
/** What became of a finding; waived means true but accepted. */
export type FindingStatus = "open" | "fixed" | "waived";
/** What a review objects to. */
export interface Finding {
  readonly id: string;
  readonly path: string;
  readonly line: number;
  readonly severity: Severity;
  readonly problem: string;
  readonly status: FindingStatus;
}
/** A part of a document; heading and document together name it. */
export interface Section {
  readonly document: string;
  readonly heading: string;
  readonly text: string;
}

/** Longer answers would fill a small model's context. */
const FIRST_WORDS = /^\s*\S+(?:\s+\S+){0,109}/;

/** What one run of the team works on: plan, design, files, checks, findings and documents. In memory, deterministic. */
export class Workspace {
  readonly #items = new Map<string, PlanItem>();
  readonly #decisions: Decision[] = [];
  readonly #modules = new Map<string, ModuleContract>();
  readonly #files = new Map<string, SourceFile>();
  readonly #checks = new Map<string, Check>();
  readonly #findings = new Map<string, Finding>();
  readonly #sections = new Map<string, Section>();

  get items(): readonly PlanItem[] {
    return [...this.#items.values()];
  }
  get decisions(): readonly Decision[] {
    return this.#decisions;
  }
  get modules(): readonly ModuleContract[] {
    return [...this.#modules.values()];
  }
  get files(): readonly SourceFile[] {
    return [...this.#files.values()];
  }
  get checks(): readonly Check[] {
    return [...this.#checks.values()];
  }
  get findings(): readonly Finding[] {
    return [...this.#findings.values()];
  }
  get sections(): readonly Section[] {
    return [...this.#sections.values()];
  }

  /** Open items whose predecessors are all done. */
  get readyItems(): readonly PlanItem[] {
    return this.items.filter(
      (item) => item.status === "open" && item.after.every((id) => this.#items.get(id)?.status === "done"),
    );
  }

  /** Checks that failed on the current revision of their file. */
  get failingChecks(): readonly Check[] {
    return this.checks.filter((check) => check.verdict?.passed === false && !this.isStale(check));
  }

  get openFindings(): readonly Finding[] {
    return this.findings.filter((finding) => finding.status === "open");
  }

  addItem(item: Omit<PlanItem, "id" | "status">): PlanItem {
    return keep(this.#items, { ...item, id: `P${this.#items.size + 1}`, status: "open" });
  }

  /** The changed item; undefined when there is none of this id. */
  setItemStatus(id: string, status: ItemStatus): PlanItem | undefined {
    const item = this.#items.get(id);
    return item && keep(this.#items, { ...item, status });
  }

  decide(decision: Omit<Decision, "id">): Decision {
    const recorded = { ...decision, id: `D${this.#decisions.length + 1}` };
    this.#decisions.push(recorded);
    return recorded;
  }

  /** Adds a contract, or replaces the one of the same path, which it returns. */
  defineModule(contract: ModuleContract): ModuleContract | undefined {
    const earlier = this.#modules.get(contract.path);
    this.#modules.set(contract.path, contract);
    return earlier;
  }

  moduleAt(path: string): ModuleContract | undefined {
    return this.#modules.get(path);
  }

  fileAt(path: string): SourceFile | undefined {
    return this.#files.get(path);
  }

  writeFile(path: string, lines: readonly string[]): SourceFile {
    const file = { path, lines: [...lines], revision: (this.#files.get(path)?.revision ?? 0) + 1 };
    this.#files.set(path, file);
    return file;
  }

  /** Puts `lines` in place of lines `from` to `to`, counted from 1, both included; undefined outside the file. */
  replaceLines(path: string, from: number, to: number, lines: readonly string[]): SourceFile | undefined {
    const file = this.#files.get(path);
    if (file === undefined || from < 1 || to < from || to > file.lines.length) return undefined;
    return this.writeFile(path, file.lines.toSpliced(from - 1, to - from + 1, ...lines));
  }

  addCheck(check: Omit<Check, "id" | "verdict">): Check {
    return keep(this.#checks, { ...check, id: `C${this.#checks.size + 1}` });
  }

  /** Runs every check of one file, or all of them, against the files as they are now. */
  runChecks(path?: string): readonly Check[] {
    return this.checks
      .filter((check) => path === undefined || check.path === path)
      .map((check) => {
        const file = this.#files.get(check.path);
        const verdict = file
          ? { ...evaluate(check.rule, check.argument, file.lines), revision: file.revision }
          : { passed: false, evidence: "the file does not exist", revision: 0 };
        return keep(this.#checks, { ...check, verdict });
      });
  }

  /** True when a check has no answer for the current revision of its file. */
  isStale(check: Check): boolean {
    return check.verdict?.revision !== (this.#files.get(check.path)?.revision ?? 0);
  }

  addFinding(finding: Omit<Finding, "id" | "status">): Finding {
    return keep(this.#findings, { ...finding, id: `F${this.#findings.size + 1}`, status: "open" });
  }

  /** The changed finding; undefined when there is none of this id. */
  setFindingStatus(id: string, status: FindingStatus): Finding | undefined {
    const finding = this.#findings.get(id);
    return finding && keep(this.#findings, { ...finding, status });
  }

  /** Adds a section, or replaces the one of the same document and heading, which it returns. */
  writeSection(section: Section): Section | undefined {
    const key = `${section.document}#${section.heading}`;
    const earlier = this.#sections.get(key);
    this.#sections.set(key, section);
    return earlier;
  }

  /** Exported names that no document mentions. */
  get undocumentedExports(): readonly { readonly path: string; readonly name: string }[] {
    const text = this.sections.map((section) => section.text).join("\n");
    return this.modules
      .filter(({ path }) => this.#files.has(path))
      .flatMap(({ path, exports }) => exports.map((name) => ({ path, name })))
      .filter(({ name }) => !text.includes(name));
  }

  /** What a tool says: its own message, cut at 110 words, and where the workspace stands. 15 to 130 words in all. */
  report(...sentences: readonly string[]): string {
    const message = sentences.filter((sentence) => sentence !== "").join(" ");
    const words = FIRST_WORDS.exec(message)?.[0] ?? "";
    const cut = words.length < message.trimEnd().length ? `${words} … (cut here)` : words;
    return `${cut}\n${this.#standing()}`;
  }

  #standing(): string {
    return (
      `Now ${count(this.#files.size, "file")}, ${count(this.failingChecks.length, "failing check")}, ` +
      `${count(this.openFindings.length, "open finding")}; next: ${this.#mostUrgent()}.`
    );
  }

  #mostUrgent(): string {
    const [check] = this.failingChecks;
    if (check) return `check ${check.id} of ${check.path}`;
    const [finding] = this.openFindings;
    if (finding) return `finding ${finding.id} about ${finding.path}`;
    const unwritten = this.modules.find(({ path }) => !this.#files.has(path));
    if (unwritten) return `write ${unwritten.path}`;
    const [ready] = this.readyItems;
    return ready ? `the ${ready.owner} starts ${ready.id}` : "nothing is waiting";
  }
}

function keep<T extends { readonly id: string }>(into: Map<string, T>, value: T): T {
  into.set(value.id, value);
  return value;
}

/** `1 file`, `2 files`, `0 files`. */
export function count(quantity: number, noun: string): string {
  return `${quantity} ${noun}${quantity === 1 ? "" : "s"}`;
}
