import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveDashboard } from "../../src/dashboard/server.ts";
import { freePort } from "../free-port.ts";
import { type Look, lookAt, noBrowser, startBrowser } from "./browser.ts";
import { ScriptedApp } from "./scripted-app.ts";

const VIEWS = ["overview", "agents", "cache", "decisions", "runs", "policies", "engines"] as const;

if (noBrowser) process.stderr.write(`skipped: ${noBrowser}\n`);

async function played(runs = 8, port = 0) {
  const app = new ScriptedApp();
  const dashboard = await app.open({ port });
  app.declare();
  app.play(runs);
  // One that is still open, so that there are prefixes to show.
  app.start("open-run");
  app.call("open-run", "planner", 1, 500);
  app.call("open-run", "coder", 2, 600);
  return { app, dashboard };
}

describe.skipIf(noBrowser)("the page in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser.close());

  const look: Look = (...given) => lookAt(browser, ...given);

  it.each(VIEWS)(
    "%s has a title, a landmark each, its numbers, and every chart has a table",
    async (view) => {
      const { dashboard } = await played();
      await look(dashboard.url, view, async (page) => {
        expect(await page.locator("h1").count()).toBe(1);
        expect((await page.locator("h1").textContent())?.toLowerCase()).toBe(view);
        for (const landmark of ["header", "nav", "main"])
          expect(await page.locator(landmark).count()).toBe(1);
        expect(await page.locator("nav [aria-current=page]").textContent()).toBe(
          await page.title().then((title) => title.split(" ")[0]),
        );
        const figures = page.locator("figure:visible");
        for (let i = 0; i < (await figures.count()); i++) {
          const figure = figures.nth(i);
          expect((await figure.locator("[role=img]").getAttribute("aria-label"))?.length).toBeGreaterThan(20);
          expect(await figure.locator("svg").count()).toBeGreaterThan(0);
          await figure.locator("summary").click();
          expect(await figure.locator("th[scope=col]").count()).toBeGreaterThan(1);
          await figure.locator("tbody tr").first().waitFor();
        }
        const tables = page.locator("table");
        expect(await tables.count()).toBeGreaterThan(0);
        expect(await page.locator("table caption").count()).toBe(await tables.count());
        expect(await page.locator("button:not([aria-label]):empty, a:empty").count()).toBe(0);
      });
      await dashboard.close();
    },
  );

  it("shows what happens while it is open, and nothing while it is paused", async () => {
    const { app, dashboard } = await played();
    await look(dashboard.url, "overview", async (page) => {
      const requests = () => page.locator(".tile .value").nth(1).textContent();
      const before = await requests();
      app.play(10, 100);
      await expect.poll(requests).not.toBe(before);
      await page.getByRole("button", { name: "Pause" }).click();
      expect(await page.getByRole("button", { name: "Paused" }).getAttribute("aria-pressed")).toBe("true");
      const paused = await requests();
      app.play(10, 200);
      await page.waitForTimeout(500);
      expect(await requests()).toBe(paused);
      // Another view is shown as it is then, and stays so.
      await page.getByRole("link", { name: "Runs" }).click();
      await page.getByText("run-209", { exact: true }).first().waitFor();
      await page.getByRole("link", { name: "Overview" }).click();
      await page.getByRole("button", { name: "Paused" }).click();
      await expect.poll(requests).not.toBe(paused);
    });
    await dashboard.close();
  });

  it("stays responsive at thousands of events a second", async () => {
    const { app, dashboard } = await played();
    await look(dashboard.url, "overview", async (page) => {
      let run = 1000;
      // Eleven events a run, 50 runs each 100 ms: 5,500 a second.
      const load = setInterval(() => {
        app.play(50, run);
        run += 50;
      }, 100);
      try {
        await page.waitForTimeout(1500);
        const started = performance.now();
        for (const name of ["Agents", "Runs", "Decisions"]) {
          await page.getByRole("link", { name }).click();
          await page.getByRole("heading", { level: 1, name }).waitFor();
        }
        expect(performance.now() - started).toBeLessThan(5000);
      } finally {
        clearInterval(load);
      }
    });
    await dashboard.close();
  });

  it("shows each server and each cache of an engine: lag, gaps, what is where", async () => {
    const cache = {
      source: "tcp://127.0.0.1:5557",
      worker: "http://127.0.0.1:9/v1",
      residentBlocks: 30,
      residentTokens: 480,
      media: { GPU: 20, CPU: 10 },
      isComplete: false,
      events: 60,
      storedBlocks: 1234,
      removedBlocks: 1204,
      clearings: 0,
      gaps: { lost: 2, restart: 0, unreadable: 0 },
      missed: 17,
      latestAt: 0,
      lagMs: 42,
      gapAt: 0,
    };
    const served = { requests: 77, promptTokens: 1000, cachedTokens: 250 };
    const { adapter } = new ScriptedApp().source;
    const workers = () => [
      { baseURL: "http://127.0.0.1:9/v1", isUp: true, underWay: 3, served },
      { baseURL: "http://127.0.0.1:10/v1", isUp: false, underWay: 0, served },
    ];
    const app = new ScriptedApp({
      adapter: { ...adapter, workers },
      caches: () => ({ stream: "open", caches: [cache] }),
    });
    app.now = 5000;
    const dashboard = await app.open();
    await look(dashboard.url, "engines", async (page) => {
      const row = (table: string, name: string) =>
        page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: name }).textContent();
      await expect.poll(() => row("Caches, by their events", cache.source)).toContain("at least 480");
      const told = await row("Caches, by their events", cache.source);
      for (const part of ["1,234", "1,204", "5.0 s ago", "42 ms", "2 (17 batches)"])
        expect(told).toContain(part);
      const servers = "Servers, among which calls are spread";
      expect(await row(servers, ":9/v1")).toMatch(/up37725 %/);
      expect(await row(servers, ":10/v1")).toContain("does not answer");
      const facts = await page.locator(".facts").allTextContents();
      expect(facts.join()).toContain("Latest gap5.0 s ago");
      expect(facts.join()).toContain("2 lost, 0 restarts, 0 unreadable");
    });
    app.start("two prompts");
    app.call("two prompts", "coder", 1, 0, "write");
    app.call("two prompts", "coder", 1, 0, "review");
    await look(dashboard.url, "cache", async (page) => {
      const prompts = page.getByRole("table", { name: "Prompts of open runs" }).locator("tbody tr");
      await expect.poll(() => prompts.count()).toBe(2);
      const agents = (await prompts.allTextContents()).map((text) => text.slice(0, "coder, prompt 2".length));
      expect(agents).toContain("coder, prompt 2");
      const tiers = page.getByRole("table", { name: "What the engine says is where" });
      await expect
        .poll(() => tiers.getByRole("row").allTextContents())
        .toContain("http://127.0.0.1:9/v1CPUat least 10160");
    });
    await dashboard.close();
  });

  it("gives a reason for every decision, whatever its verb", async () => {
    const { dashboard } = await played();
    await look(dashboard.url, "decisions", async (page) => {
      await page.locator("tbody tr").first().waitFor();
      const cells = (nth: number) => page.locator(`tbody tr td:nth-child(${nth})`).allTextContents();
      const [verbs, reasons] = [await cells(4), await cells(9)];
      expect(new Set(verbs).size).toBeGreaterThan(1);
      expect(reasons.filter((reason) => reason === "–")).toEqual([]);
      expect(reasons[verbs.indexOf("retain")]).toMatch(/^next use: (next step|≈ \d|not expected soon)/);
      expect(reasons[verbs.indexOf("prefetch")]).toMatch(/^comes next with \d+ %$/);
    });
    await dashboard.close();
  });

  it("says of a recording that nothing is sent", async () => {
    const dashboard = await new ScriptedApp({ kind: "recording", name: "trace" }).open();
    for (const [view, text] of [
      ["policies", "a recording: nothing is sent"],
      ["engines", "not sent"],
    ] as const)
      await look(dashboard.url, view, async (page) => {
        const said = page.getByText(text, { exact: true });
        await said.waitFor();
        expect(await said.count()).toBe(1);
      });
    await dashboard.close();
  });

  it("says that the engine is down and what to do, and that it is back", async () => {
    const { app, dashboard } = await played();
    app.status = undefined;
    await look(dashboard.url, "engines", async (page) => {
      const banner = page.locator("#banner");
      await banner.waitFor();
      expect(await banner.textContent()).toMatch(
        /engine has not answered since \d\d:\d\d:\d\d \(ENGINE_UNREACHABLE.*Check that the server runs/,
      );
      expect(await page.locator("#engine").textContent()).toBe("scripted: does not answer");
      app.status = { capacityTokens: 4000, residentTokens: 10 };
      await banner.waitFor({ state: "hidden" });
    });
    await dashboard.close();
  });

  it("says so when the app has gone, and goes on when it is back", async () => {
    const port = await freePort();
    const { app, dashboard } = await played(8, port);
    const page = await browser.newPage();
    await page.goto(dashboard.url);
    await page.locator(".card:visible").first().waitFor();
    await dashboard.close();
    await page.getByText("The connection is lost.").waitFor();
    const again = await app.open({ port });
    await page.locator("#banner").waitFor({ state: "hidden" });
    await expect.poll(() => page.locator("#engine").textContent()).toBe("scripted: up");
    await page.close();
    await again.close();
  });

  it("is of use before anything has happened", async () => {
    const dashboard = await new ScriptedApp().open();
    for (const [view, text] of [
      ["runs", "No run has begun. Is the graph instrumented"],
      ["agents", "No agent has called a model yet."],
      ["decisions", "No decision matches."],
    ] as const)
      await look(dashboard.url, view, async (page) => {
        await page.getByText(text).waitFor();
        expect(await page.locator("#engine").textContent()).toContain("scripted");
      });
    await dashboard.close();
  });

  it("says what to do when there is nothing to show", async () => {
    const problem = { title: "Nothing to show yet", text: "Why.", steps: ["Do this first.", "Then that."] };
    const options = { host: "127.0.0.1", port: 0, allowedHosts: [], refreshMs: 100 };
    const dashboard = await serveDashboard(() => problem, options);
    await look(dashboard.url, "overview", async (page) => {
      expect(await page.locator("h1").textContent()).toBe("Nothing to show yet");
      expect(await page.locator(".empty li").allTextContents()).toEqual(problem.steps);
    });
    await dashboard.close();
  });

  it.each(VIEWS)("%s fits a telephone of 390 pixels", async (view) => {
    const { dashboard } = await played();
    const phone = { viewport: { width: 390, height: 844 } };
    await look(
      dashboard.url,
      view,
      async (page) => {
        const widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        expect(widths).toEqual([390, 390]);
        const current = await page.locator("nav [aria-current=page]").boundingBox();
        expect(current && current.x >= 0 && current.x + current.width <= 390).toBe(true);
      },
      phone,
    );
    await dashboard.close();
  });

  it("is dark where the reader wants it so, and remembers a choice", async () => {
    const { dashboard } = await played(2);
    await look(
      dashboard.url,
      "overview",
      async (page) => {
        const ground = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
        const dark = await ground();
        expect(dark).toBe("rgb(16, 21, 18)");
        const theme = page.getByRole("button", { name: /^Theme/ });
        await theme.click();
        expect(await theme.textContent()).toBe("Theme: light");
        expect(await ground()).not.toBe(dark);
        await page.reload();
        await page.locator(".card:visible").first().waitFor();
        expect(await ground()).not.toBe(dark);
      },
      { colorScheme: "dark" },
    );
    await dashboard.close();
  });

  it("is used by keyboard alone", async () => {
    const { dashboard } = await played();
    await look(dashboard.url, "decisions", async (page) => {
      const focused = (what = "textContent") => page.evaluate(`document.activeElement.${what}`);
      await page.keyboard.press("Tab");
      await expect.poll(() => focused()).toBe("Skip to the numbers");
      await page.keyboard.press("Enter");
      await expect.poll(() => focused("id")).toBe("main");
      // Filter, then open the details of the first decision that is left.
      await page.getByLabel("Verb").focus();
      await page.keyboard.type("prefetch");
      await expect
        .poll(async () => new Set(await page.locator("tbody tr td:nth-child(4)").allTextContents()))
        .toEqual(new Set(["prefetch"]));
      for (
        let i = 0;
        i < 12 && !String(await focused("getAttribute('aria-label')")).startsWith("Details of decision");
        i++
      )
        await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await expect.poll(() => focused("getAttribute('aria-pressed')")).toBe("true");
      await expect
        .poll(() => page.locator("dl.facts").textContent())
        .toMatch(/Verbprefetch.*Probability\d+\.\d %/);
      // Another view takes the focus to its heading.
      await page.getByRole("link", { name: "Engines" }).focus();
      await page.keyboard.press("Enter");
      await expect.poll(() => focused()).toBe("Engines");
    });
    await dashboard.close();
  });

  it("draws the stretch that is still being filled dashed", async () => {
    const { dashboard } = await played(30);
    await look(dashboard.url, "overview", async (page) => {
      // A chart is drawn with the next frame.
      await expect
        .poll(() => page.locator("figure").first().locator("path[stroke-dasharray]").count())
        .toBeGreaterThanOrEqual(3);
    });
    await dashboard.close();
  });
});
