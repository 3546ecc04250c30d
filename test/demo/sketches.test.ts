import * as fc from "fast-check";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { evaluate } from "../../src/demo/checks.ts";
import { contractsFor, draft } from "../../src/demo/sketches.ts";
import { random } from "../../src/demo/routing.ts";
import { smellsOf } from "../../src/demo/smells.ts";
import { tasks } from "../../src/demo/tasks.ts";
import { topicsOf } from "../../src/demo/turn.ts";

const contracts = tasks.flatMap((task) => topicsOf(task)).flatMap((topic) => contractsFor(topic));
const anyContract = fc.constantFrom(...contracts);
const neverFlawed = () => 0.99;

describe("a draft", () => {
  test("without a flaw passes every rule of its contract and smells of nothing", () => {
    for (const contract of contracts) {
      const lines = draft(contract, neverFlawed);
      for (const name of contract.exports) expect(evaluate("exports", name, lines).passed).toBe(true);
      expect(evaluate("balanced", "", lines).passed).toBe(true);
      expect(evaluate("documented", "", lines).passed).toBe(true);
      expect(evaluate("max-columns", "120", lines).passed).toBe(true);
      expect(smellsOf(lines)).toEqual([]);
    }
  });

  test("is TypeScript that compiles, with or without a flaw", () => {
    fc.assert(
      fc.property(anyContract, fc.nat(), (contract, seed) => {
        const source = draft(contract, random(seed)).join("\n");
        expect(ts.transpileModule(source, { reportDiagnostics: true }).diagnostics).toEqual([]);
      }),
    );
  });

  test("has a flaw about half of the time", () => {
    const flawed = contracts.filter((contract, seed) => smellsOf(draft(contract, random(seed))).length > 0);
    expect(flawed.length / contracts.length).toBeGreaterThan(0.3);
    expect(flawed.length / contracts.length).toBeLessThan(0.6);
  });

  test("smells of nothing after each smell in turn was repaired", () => {
    fc.assert(
      fc.property(anyContract, fc.nat(), (contract, seed) => {
        let lines = draft(contract, random(seed));
        const found = smellsOf(lines).length;
        for (let repair = 0; repair < found; repair++) {
          const [smell] = smellsOf(lines);
          if (smell) lines = lines.toSpliced(smell.line - 1, 1, ...smell.repaired);
        }
        expect(smellsOf(lines)).toEqual([]);
        for (const name of contract.exports) expect(evaluate("exports", name, lines).passed).toBe(true);
      }),
    );
  });
});

describe("a rule", () => {
  const lines = [
    "/** Adds. */",
    "export function add(a: number, b: number) {",
    '  return a + b; // ")"',
    "}",
  ];

  test.each([
    ["exports", "add", true, "line 2 exports add"],
    ["exports", "ad", false, "no line exports ad"],
    ["contains", "a + b", true, 'line 3 contains "a + b"'],
    ["lacks", "return", false, 'line 3 contains "return"'],
    ["lacks", "any", true, 'no line contains "any"'],
    ["balanced", "", true, "brackets match over all 4 lines"],
    ["documented", "", true, "a comment precedes every export"],
    ["max-lines", "4", true, "the file has 4 lines, the limit is 4"],
    ["max-lines", "3", false, "the file has 4 lines, the limit is 3"],
    ["max-columns", "many", false, 'the limit "many" is not a number'],
  ] as const)("%s %s is %s", (rule, argument, passed, evidence) => {
    expect(evaluate(rule, argument, lines)).toEqual({ passed, evidence });
  });

  test("points to the bracket that does not match", () => {
    expect(evaluate("balanced", "", lines.slice(0, 3)).evidence).toBe('the "{" of line 2 is never closed');
    expect(evaluate("balanced", "", ["a)"]).evidence).toBe('line 1 has a ")" that closes nothing');
  });

  test("points to the export without a comment", () => {
    expect(evaluate("documented", "", lines.slice(1)).evidence).toBe(
      "the export in line 1 has no comment above it",
    );
  });
});
