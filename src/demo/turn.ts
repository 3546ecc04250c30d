/** What a member knows of its turn besides the workspace. */
export interface Turn {
  readonly task: string;
  /** Turns of the run so far, counted from 0. */
  readonly step: number;
  /** Seeded numbers in [0, 1). */
  readonly random: () => number;
}

const NOT_TOPICS = new Set(
  (
    "about above after again against already always among another around because before being below between beyond both " +
    "build cannot could different direct during either empty enough every exact except existing first following handle " +
    "inside instead large later least library likely longer makes making might minute month never normal nothing number " +
    "often older other others otherwise output people plain please point problem produce question rather really reason right safely " +
    "same second several should simple single small something still takes tell thing think three through together today " +
    "twice under until usual using version wants waits where whether which while whole without would write wrong years"
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
    const topic = word.replace(/ies$/, "y").replace(/([^su])s$/, "$1");
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
