// What each policy does to a real LangGraph.js app on the embedded engine: the same load with the policy off and on, in turn, in
// one process. Prints one line a measure. Names of files in live/ on the command line choose; all of them take a quarter of an hour.
import { readdirSync } from "node:fs";

const folder = new URL("live/", import.meta.url);
const known = readdirSync(folder).map((file) => file.replace(".mjs", ""));
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`no load named ${unknown.join(", ")}; there are: ${known.join(", ")}`);
  process.exit(2);
}
for (const name of known) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const { default: measure } = await import(new URL(`${name}.mjs`, folder).href);
  await measure();
}
