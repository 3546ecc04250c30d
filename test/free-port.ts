import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below the ports that systems hand out by themselves (Linux from 32,768 on): those are given to whoever asks next, which may be
 * another test while a server is still on its way to take one.
 */
const FIRST = 20_000;
const COUNT = 12_000;
/** Each process has some of its own. */
let next = process.pid * 10;

/** A TCP port of this machine that nobody uses, and that is nobody's but this process's for a while. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries++) {
    const port = FIRST + (next++ % COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${FIRST} to ${FIRST + COUNT - 1} is free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
