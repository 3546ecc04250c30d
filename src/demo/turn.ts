/** What a member knows of its turn besides the workspace. */
export interface Turn {
  readonly task: string;
  /** Turns of the run so far, counted from 0. */
  readonly step: number;
  /** Seeded numbers in [0, 1). */
  readonly random: () => number;
}

/** Frequent words that name nothing, and words that no TypeScript variable may have. */
const NOT_TOPICS = new Set(
  (
    "behind brought found however little local match possible print short sometime thirty " +
    "about above across after afterward again against already always among another around average because become before " +
    "being below better between beyond both build cannot carry clear collect compare compute contain could depend " +
    "different direct during early earlier eight eighty eleven empty enough equal every exact except exist existing extend " +
    "fewest fifty finish first following forty function given handle happen highest inside instead keep large later least " +
    "library likely longer lowest make maybe might million minute missing module month never ninety nobody normal nothing " +
    "often older other otherwise people plain please point problem produce program propose quick quite raise rather real " +
    "really reason rebuilt relative right safely same second seven seventy several shorter should shown silent simple single " +
    "slowest small smaller somebody something split start still takes taller tell their there these thing think third those " +
    "thousand three through together today twelve twenty twice under unknown until usual using wants whatever where whether " +
    "which while whoever whole whose within without worse would write wrong yours " +
    "break class const default delete export import interface package private protected public return static super switch " +
    "throw typeof while yield"
  ).split(" "),
);

/** One of `items`, which must not be empty. */
export function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new RangeError("[pick] needs at least one item, got none");
  return item;
}

/** What a task is about: its likely nouns in the singular, most telling first; never empty, at most 12. */
export function topicsOf(task: string): readonly string[] {
  const weights = new Map<string, number>();
  let before = "";
  for (const word of task.toLowerCase().match(/[a-z]+/g) ?? []) {
    const topic = word
      .replace(/ies$/, "y")
      .replace(/(ss|sh|ch|x)es$/, "$1")
      .replace(/([^sui])s$/, "$1");
    // Adverbs, participles and gerunds make poor names; a determiner in front promises a noun.
    const likely = topic.length >= 5 && topic.length <= 12 && !/(?:ly|ed|ing)$/.test(topic);
    if (likely && !NOT_TOPICS.has(word) && !NOT_TOPICS.has(topic)) {
      const weight = /^(?:an?|the|each|every|per|of|one|two|no|any)$/.test(before) ? 2 : 1;
      weights.set(topic, (weights.get(topic) ?? 0) + weight);
    }
    before = word;
  }
  const ranked = [...weights].toSorted(([, a], [, b]) => b - a).map(([topic]) => topic);
  return ranked.length === 0 ? ["record"] : ranked.slice(0, 12);
}

/** First letter upper case: `invoice` gives `Invoice`. */
export function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
