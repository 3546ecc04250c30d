// Adds one to each of many counts, over and over, and says how often it has done so; until it is killed.
import { argv, pid, stdout } from "node:process";

const [, , entry, folder] = argv;
const { FileStore } = await import(entry);
const store = new FileStore(folder);
const counts = new Map(Array.from({ length: 5000 }, (_, i) => [`count ${i}`, 1]));
for (let sequence = 1; ; sequence++) {
  await store.add({ writer: `process ${pid}`, sequence, counts });
  stdout.write(".");
}
