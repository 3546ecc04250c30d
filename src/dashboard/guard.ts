import type { MiddlewareHandler } from "hono";

const LOCAL = ["127.0.0.1", "localhost", "[::1]"];

/**
 * Answers nobody but this page's own visitors: other names for this address (DNS rebinding), other origins and writing
 * methods are refused.
 *
 * @param allowed host names beside those of this machine, without port.
 */
export function guard(allowed: readonly string[]): MiddlewareHandler {
  const hosts = new Set([...LOCAL, ...allowed].map((host) => host.toLowerCase()));
  return async ({ req, text }, next) => {
    if (req.method !== "GET" && req.method !== "HEAD")
      return text("This page is read-only.\n", 405, { Allow: "GET, HEAD" });
    const host = req.header("host") ?? "";
    if (!hosts.has(nameOf(`http://${host}`)))
      return text("This host name is not allowed. Name it in the option allowedHosts.\n", 403);
    const origin = req.header("origin");
    if (origin !== undefined && !hosts.has(nameOf(origin))) return text("This origin is not allowed.\n", 403);
    if (req.header("sec-fetch-site") === "cross-site") return text("Open this page by itself.\n", 403);
    return next();
  };
}

/** Host name without port; empty for what is none. */
function nameOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.toLowerCase() : "";
}
