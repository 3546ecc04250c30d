import { expect, test } from "vitest";
import { BlockText } from "../../src/bench/block-text.ts";
import { buildTraceGraph, TraceLog } from "../../src/bench/graph.ts";
import { PromptTree } from "../../src/bench/prompt-tree.ts";
import { small } from "./recorded.ts";

test("agents of any name are nodes of a graph, each its own", () => {
  const agents = ["hasOwnProperty", "constructor", "__proto__", "__start__", "callsMade", "a|b", "a:b", ""];
  const graph = buildTraceGraph({
    tree: new PromptTree(small, 16, new BlockText()),
    agents,
    modelOf: () => expect.unreachable("is not called"),
    log: new TraceLog(),
  });
  expect(Object.keys(graph.nodes)).toHaveLength(1 + agents.length);
});
