import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { signal } from "../langgraph/signal.ts";
import { type Look, lookAt, noBrowser, startBrowser } from "./browser.ts";
import { ScriptedApp, viewOf } from "./scripted-app.ts";

describe.skipIf(noBrowser)("the page where something is unusual", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser.close());
  const look: Look = (...given) => lookAt(browser, ...given);

  it.each(["agents", "runs"])(
    "%s has room for names of any length, also where there is little",
    async (view) => {
      const app = new ScriptedApp();
      const dashboard = await app.open();
      const long = "a-reviewer-whose-name-is-quite-a-bit-longer-than-those-of-others-and-goes-on";
      for (let run = 0; run < 4; run++) {
        app.start(`${run}`);
        for (const [said, agent] of ["planner", long, "coder", long].entries())
          app.call(`${run}`, agent, said, 100);
        app.end(`${run}`);
      }
      const drawn = view === "agents" ? "Transitions that happened" : "Timeline of the run";
      const use = async (page: Page) => {
        const figure = page.locator("figure").filter({ hasText: drawn });
        await figure.locator("svg text").first().waitFor();
        const outside = await figure.locator(".plot").evaluate((plot) => {
          const frame = plot.getBoundingClientRect();
          return [...plot.querySelectorAll("svg text, svg path")]
            .map((one) => ({ text: one.textContent, box: one.getBoundingClientRect() }))
            .filter(({ box }) => box.left < frame.left - 2 || box.right > frame.right + 2)
            .map(({ text, box }) => `${text} ${box.left} ${box.right}`);
        });
        expect(outside).toEqual([]);
      };
      await look(dashboard.url, view, use);
      await look(dashboard.url, view, use, { viewport: { width: 390, height: 844 } });
      await dashboard.close();
    },
  );

  it("asks again after it was refused, as while too many pages are open", async () => {
    const dashboard = await new ScriptedApp().open();
    const page = await browser.newPage();
    let asked = 0;
    const seen = signal<void>();
    await page.route("**/api/live?*", async (route) => {
      if (++asked === 1) return route.fulfill({ status: 503, body: "Too many pages are open." });
      await seen.promise;
      return route.continue();
    });
    await page.goto(dashboard.url);
    await page.getByText("The connection is lost.").waitFor();
    seen.resolve();
    await page.locator(".card:visible").first().waitFor();
    await expect.poll(() => page.locator("#banner").isHidden()).toBe(true);
    await page.close();
    await dashboard.close();
  });

  it("says so when the app has gone while it is paused", async () => {
    const dashboard = await new ScriptedApp().open();
    const page = await browser.newPage();
    await page.goto(dashboard.url);
    await page.locator(".card:visible").first().waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await dashboard.close();
    await page.getByRole("link", { name: "Runs" }).click();
    await page.getByText("The connection is lost.").waitFor();
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Runs");
    await page.close();
  });

  it("offers to filter by what there is, and says in words what is less", async () => {
    const app = new ScriptedApp();
    const dashboard = await app.open();
    await expect
      .poll(() => viewOf<{ capacityTokens: number | null }>(dashboard.url, "cache"))
      .toMatchObject({
        capacityTokens: 4000,
      });
    app.play(8);
    app.ledger.record(app.now, "speculation", "run-1", {
      type: "speculate",
      prefix: { agent: "coder", run: "run-1" },
      from: "planner",
      probability: 0.5,
      tokens: 9,
    });
    // The shadows find what the engine, which forgets, does not.
    for (let i = 0; i < 6; i++) {
      app.start(`bad-${i}`);
      app.call(`bad-${i}`, "planner", 0, 0);
      app.call(`bad-${i}`, "planner", 1, 0);
      app.end(`bad-${i}`);
    }
    await look(dashboard.url, "decisions", async (page) => {
      await page.getByLabel("Verb").selectOption("speculate");
      await page.getByText(/^1 of the /).waitFor();
    });
    await look(dashboard.url, "overview", async (page) => {
      await expect.poll(() => page.locator(".tiles").textContent()).toMatch(/fewer than LRU/);
    });
    await dashboard.close();
  });
});
