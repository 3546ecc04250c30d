interface Terminal {
  stderr(text: string): void;
  readonly isTTY: boolean;
}

/** One line that rewrites itself on a terminal, one plain line per finished part of the work elsewhere. */
export function progressTo({ stderr, isTTY }: Terminal): (text: string, finished: boolean) => void {
  return (text, finished) => {
    if (isTTY) stderr(`\r\u001b[K${text}${finished ? "\n" : ""}`);
    else if (finished) stderr(`${text}\n`);
  };
}
