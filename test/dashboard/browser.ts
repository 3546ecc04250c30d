import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

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

/** Opens a view and hands it over; whatever the browser complains about fails the test. */
export type Look = (
  url: string,
  view: string,
  use: (page: Page) => Promise<void>,
  options?: Parameters<Browser["newPage"]>[0],
) => Promise<void>;

export async function lookAt(
  browser: Browser,
  ...[url, view, use, options]: Parameters<Look>
): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  try {
    await page.goto(`${url}#${view}`);
    await page.locator(".card:visible").first().waitFor();
    await use(page);
    expect(complaints).toEqual([]);
  } finally {
    await page.close();
  }
}
