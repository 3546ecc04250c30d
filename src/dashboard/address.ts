/** Without user, password and query, where keys may be; null where there is none, as before an engine has started. */
export function addressOf({ baseURL }: { readonly baseURL: string }): string | null {
  try {
    const { origin, pathname } = new URL(baseURL);
    return `${origin}${pathname}`;
  } catch {
    return null;
  }
}

/** The same of an event stream's address, which is of another scheme and may be followed by a topic and a rank. */
export function withoutKeys(source: string): string {
  return source.replace(/\/\/[^/\s]*@/, "//").replace(/\?\S*/, "");
}
