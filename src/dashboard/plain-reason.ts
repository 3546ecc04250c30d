const MAX_LENGTH = 120;

/**
 * A reason as it may be shown. Engines phrase some of them, and a server's complaint may repeat what it was sent: whatever is
 * quoted or looks like a body is left out, and so is what follows a line's end.
 */
export function plainReason(reason: string): string {
  const [line = ""] = reason.split("\n");
  const plain = line
    .replace(/(["'`“]).*(["'`”]|$)/g, "…")
    .replace(/[[{].*[}\]]|[{].*$/g, (found) => (/^\[[\w -]+\]$/.test(found) ? found : "…"));
  return plain.length > MAX_LENGTH ? `${plain.slice(0, MAX_LENGTH - 1)}…` : plain;
}
