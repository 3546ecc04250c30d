/** Most characters of an error's text that are looked at. */
const MOST_CHARACTERS = 16_384;
/** Milliseconds after which the rest of an error's text is not waited for. */
const PATIENCE_MS = 1_000;

/** Fields and headers that a server does not take, by endpoint: they are left out from then on. */
export class Refusals {
  readonly #byPath = new Map<string, Set<string>>();
  readonly #warn: (message: string) => void;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  has(path: string, name: string): boolean {
    return this.#byPath.get(path)?.has(name) === true;
  }

  /**
   * Leaves out what the error's text names of what was added, or all of it where it names nothing.
   *
   * @param added names of the fields and headers without which the server took the request.
   */
  note(path: string, added: readonly string[], status: number, text: string): void {
    const named = added.filter((name) => isNamed(name, text));
    const refused = (named.length > 0 ? named : added).filter((name) => !this.has(path, name));
    if (refused.length === 0) return;
    const known = this.#byPath.get(path) ?? new Set();
    this.#byPath.set(path, known);
    for (const name of refused) known.add(name);
    this.#warn(
      `the server refused a request with ${refused.join(", ")} (HTTP ${status}) and took it without; ` +
        `these hints are off for ${path}`,
    );
  }
}

/** What a server says of a request that it refused; empty when it does not say so soon. Never rejects. */
export async function errorText(response: Response): Promise<string> {
  // The body of a response that a client's own fetch made up may be anything.
  if (typeof response.body?.getReader !== "function" || response.bodyUsed) return "";
  const reader = response.body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  const timer = setTimeout(cancel, PATIENCE_MS).unref();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += decoder.decode(part.value, { stream: true });
      if (text.length > MOST_CHARACTERS) break;
    }
  } catch {
    // What was read by then has to do.
  }
  clearTimeout(timer);
  cancel();
  return text;
}

/** As a word of its own: headers are named in any case. */
function isNamed(name: string, text: string): boolean {
  const escaped = name.replaceAll(/[^\w]/g, String.raw`\$&`);
  return new RegExp(String.raw`(?<![\w-])${escaped}(?![\w-])`, "i").test(text);
}
