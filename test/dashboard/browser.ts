import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const executablePath = "/usr/bin/chromium";
const args = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Why the page cannot be looked at here; undefined where it can. */
export const noBrowser = existsSync(executablePath)
  ? undefined
  : `no ${executablePath} on this machine: the dashboard's page is not tested (apt-get install chromium)`;

export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath, args });
}
