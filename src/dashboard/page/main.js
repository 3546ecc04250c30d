import { disposeAll, redrawAll } from "./chart.js";
import { h, setText } from "./elements.js";
import { timeOfDay } from "./format.js";
import agents from "./views/agents.js";
import cache from "./views/cache.js";
import decisions from "./views/decisions.js";
import engines from "./views/engines.js";
import overview from "./views/overview.js";
import policies from "./views/policies.js";
import runs from "./views/runs.js";

const views = { overview, agents, cache, decisions, runs, policies, engines };
const [main, banner, pause, theme, engine, shown] = [
  "main",
  "banner",
  "pause",
  "theme",
  "engine",
  "shown",
].map((id) => document.getElementById(id));
const links = new Map();
for (const [name, { title }] of Object.entries(views)) {
  const link = h("a", { href: `#${name}`, text: title });
  links.set(name, link);
  document.getElementById("views").append(h("li", {}, link));
}

/** Milliseconds after which a page that was refused asks again; a browser does that itself only where nobody answers. */
const RETRY_MS = 3000;

let current;
let stream;
let retry;
let isPaused = false;
let isLost = false;
let latest;
/** Since when the engine does not answer: said once, since a text that changes would be read out each time. */
let downSince;

/** Opens the view that the address names. */
function open(isFirst) {
  const named = location.hash.slice(1);
  if (named === "main") return main.focus();
  const name = Object.hasOwn(views, named) ? named : "overview";
  const view = views[name];
  disposeAll();
  for (const [other, link] of links)
    if (other === name) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "center" });
    } else link.removeAttribute("aria-current");
  const heading = h("h1", { tabindex: "-1", text: view.title });
  const waiting = h("p", { class: "note", text: "Waiting for the first numbers…" });
  const body = h("div", {}, waiting);
  const content = view.create({ ask: connect });
  current = { name, content, isShown: false };
  current.show = () => {
    if (!body.isConnected) fill();
    body.replaceChildren(...content.elements);
    current.isShown = true;
  };
  const fill = () => main.replaceChildren(heading, h("p", { class: "lead", text: view.lead }), body);
  document.title = `${view.title} – cachesage`;
  fill();
  if (!isFirst) heading.focus();
  connect();
}

/** Asks for the view anew: another one, or the same with other wishes. */
function connect() {
  stream?.close();
  clearTimeout(retry);
  if (isPaused) return void once();
  stream = new EventSource(`api/live?${query()}`);
  stream.addEventListener("message", ({ data }) => take(JSON.parse(data)));
  stream.addEventListener("error", () => {
    isLost = true;
    tell();
    if (stream.readyState === EventSource.CLOSED) retry = setTimeout(connect, RETRY_MS);
  });
}

const query = () => new URLSearchParams({ view: current.name, ...current.content.query?.() });

/** While paused, a view that is opened is shown as it is at that moment. */
async function once() {
  const response = await fetch(`api/now?${query()}`).catch(() => undefined);
  if (response?.ok) return take(await response.json());
  isLost = true;
  tell();
}

function take(message) {
  isLost = false;
  latest = message;
  tell();
  if (message.problem) return problem(message.problem);
  if (message.view !== current.name) return;
  if (!current.isShown) current.show();
  current.content.update(message.data, message.head);
}

/** There is nothing to show: says why, and what to do. */
function problem({ title, text, steps }) {
  const key = JSON.stringify([title, text, steps]);
  if (main.dataset.problem === key && main.querySelector(".empty")) return;
  main.dataset.problem = key;
  current.isShown = false;
  const list = h("ol", {}, ...steps.map((step) => h("li", { text: step })));
  main.replaceChildren(
    h("section", { class: "card empty" }, h("h1", { tabindex: "-1", text: title }), h("p", { text }), list),
  );
}

/** Header and banner: what is shown, and whether it is alive. */
function tell() {
  const head = latest?.head;
  const state = isLost ? "lost" : (head?.state ?? "unknown");
  const names = { up: "up", down: "does not answer", unknown: "not asked yet", lost: "connection lost" };
  engine.hidden = !head;
  engine.dataset.state = state === "lost" ? "down" : state;
  if (head) {
    const isApp = head.kind === "app";
    setText(engine, isApp ? `${head.engine}: ${names[state]}` : state === "lost" ? names.lost : "recording");
    if (!isApp && state !== "lost") engine.dataset.state = "up";
    const hints = head.cacheHints ? "hints on" : "observing only";
    setText(shown, isApp ? `${head.models.join(", ")} · ${hints}` : head.name);
  }
  downSince = state === "down" ? (downSince ?? timeOfDay(Date.now() - head.downForMs)) : undefined;
  const text = isLost
    ? [
        "The connection is lost.",
        "The app has ended, or is busy. This page tries again by itself; what you see is from before.",
      ]
    : state === "down"
      ? [
          `The engine has not answered since ${downSince} (${head.failure}).`,
          "Your graph goes on without hints. Check that the server runs and can be reached at the address shown under Engines; this page goes on by itself when it does.",
        ]
      : undefined;
  banner.hidden = !text;
  if (!text) return;
  if (banner.childNodes.length === 0) banner.append(h("strong"), h("span"));
  setText(banner.firstChild, text[0]);
  setText(banner.lastChild, text[1]);
}

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  setText(pause, isPaused ? "Paused" : "Pause");
  if (!isPaused) return connect();
  stream?.close();
  clearTimeout(retry);
});

const themes = ["auto", "light", "dark"];
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
let chosen = themes.indexOf(localStorage.getItem("cachesage-theme") ?? "auto");
function paint() {
  const name = themes[Math.max(0, chosen)];
  document.documentElement.dataset.theme = name === "auto" ? (prefersDark.matches ? "dark" : "light") : name;
  setText(theme, `Theme: ${name}`);
  redrawAll();
}
theme.addEventListener("click", () => {
  chosen = (Math.max(0, chosen) + 1) % themes.length;
  localStorage.setItem("cachesage-theme", themes[chosen]);
  paint();
});
prefersDark.addEventListener("change", paint);
paint();
addEventListener("hashchange", () => open(false));
open(true);
