import { firstTokenChart } from "../charts/first-tokens.js";
import { hitRateChart, share } from "../charts/hit-rate.js";
import { card, dataTable, grid, number, tile, tiles, words } from "../elements.js";
import { compact, count, duration, NONE, percent } from "../format.js";

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;

/** What stands below a median. */
const spread = (of, more = "") =>
  of ? `p50; p95 ${duration(of.p95)}, ${count(of.count)} requests${more}` : "none yet";

/** Shares of the prompt tokens that the shadows have seen as well, so that all three are of the same requests. */
function compared({ promptTokens, cachedTokens, lruTokens, releaseTokens }) {
  const lru = share(lruTokens, promptTokens);
  return {
    lru,
    release: share(releaseTokens, promptTokens),
    gain: lru === null ? null : 100 * (share(cachedTokens, promptTokens) - lru),
    more: cachedTokens - lruTokens,
  };
}

export default {
  title: "Overview",
  lead: "How much of each prompt the engine finds in its cache, beside what other rules would have found for the very same requests.",
  create() {
    const hitRate = tile("Hit rate");
    const saved = tile("Prefill tokens saved");
    const fast = tile("TTFT, half cached or more");
    const slow = tile("TTFT, less cached");
    const prefetch = tile("Prefetched tokens used");
    const faults = tile("Faults");
    const hits = hitRateChart();
    const firstTokens = firstTokenChart();
    const hints = dataTable(
      "Hints, and what became of them",
      [
        words("verb", ([key]) => key.split(" ")[0]),
        words("outcome", ([key]) => ({ text: key.split(" ")[1], status: key.split(" ")[1] })),
        number("count", ([, value]) => count(value)),
      ],
      { empty: "No hint was sent." },
    );
    const faultTable = dataTable(
      "Contained faults since the dashboard began",
      [words("where: kind", ({ kind }) => kind), number("count", (row) => count(row.count))],
      { empty: "None." },
    );
    return {
      elements: [
        tiles(hitRate, saved, fast, slow, prefetch, faults),
        grid(
          card("two-thirds", hits.element),
          card("third", firstTokens.element),
          card("half", hints.element),
          card("half", faultTable.element),
        ),
      ],
      update(data, head) {
        const { promptTokens, cachedTokens, firstTokens: times } = data;
        const [mostly, less, unknown] = times;
        const overall = share(cachedTokens, promptTokens);
        const { lru, release, gain, more } = compared(data.shadows);
        hitRate.update(
          percent(overall),
          gain === null
            ? `${count(data.requests)} requests`
            : `${signed(gain)} points to LRU (${percent(lru)})`,
          gain > 0.5 ? "good" : "",
        );
        saved.update(
          compact(cachedTokens),
          `${lru === null ? "" : `${compact(Math.abs(more))} ${more < 0 ? "fewer" : "more"} than LRU, `}of ${compact(promptTokens)}`,
        );
        fast.update(duration(mostly?.p50), spread(mostly));
        slow.update(
          duration((less ?? unknown)?.p50),
          spread(less ?? unknown, less ? "" : ", cached share unknown"),
        );
        const { used = 0, wasted = 0 } = data.prefetch ?? {};
        prefetch.update(
          used + wasted > 0 ? percent(used / (used + wasted), 0) : NONE,
          data.prefetch
            ? `${compact(used)} used, ${compact(wasted)} wasted`
            : head.kind === "app"
              ? "the engine does not report it"
              : "nothing is sent from a recording",
        );
        faults.update(
          count(data.faults),
          data.faults === 0 ? "nothing went wrong" : "contained, see below",
          data.faults > 0 ? "bad" : "",
        );
        const said = `${percent(overall)} of ${count(promptTokens)} prompt tokens; LRU ${percent(lru)}, without prediction ${percent(release)}.`;
        hits.update(data, head, said);
        firstTokens.update(data, head);
        hints.update(Object.entries(data.hints));
        faultTable.update(data.faultKinds);
      },
    };
  },
};
