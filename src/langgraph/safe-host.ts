import type { Host } from "./host.ts";

/**
 * The same host with every method contained: whatever it throws, or a promise of its rejects with, ends in `fault`, and
 * that is contained as well.
 */
export function safeHost(host: Host): Host {
  const contained = <T>(where: string, use: () => T): T | undefined => {
    try {
      const result = use();
      if (result instanceof Promise) result.catch((error: unknown) => fault(where, error));
      return result;
    } catch (error) {
      fault(where, error);
      return undefined;
    }
  };
  const fault = (where: string, error: unknown) => {
    try {
      host.fault(where, error);
    } catch {
      // A host that cannot even take a fault has nobody left to tell.
    }
  };
  return {
    clock: {
      now: () => {
        try {
          return host.clock.now();
        } catch (error) {
          fault("clock", error);
          return 0;
        }
      },
    },
    baseURL: host.baseURL,
    ...(host.apiKey !== undefined && { apiKey: host.apiKey }),
    cacheHints: host.cacheHints,
    emit: (event) => {
      try {
        host.emit(event);
      } catch (error) {
        fault("emit", error);
      }
    },
    decorate: (call) => contained("decorate", () => host.decorate(call)),
    ...(host.route && { route: (call) => contained("route", () => host.route?.(call)) }),
    ...(host.answered && {
      answered: (call, headers) => void contained("answered", () => host.answered?.(call, headers)),
    }),
    requestBody: (...told) => contained("requestBody", () => host.requestBody(...told)),
    ...(host.introduction && {
      introduction: (agent, body) => void contained("introduction", () => host.introduction?.(agent, body)),
    }),
    answer: (identity, answer) => contained("answer", () => host.answer(identity, answer)),
    ...(host.prompt && {
      prompt: (...call) => void contained("prompt", () => host.prompt?.(...call)),
    }),
    ...(host.output && {
      output: (...call) => void contained("output", () => host.output?.(...call)),
    }),
    ...(host.gate && { gate: host.gate }),
    ...(host.speculates && { speculates: true }),
    ...(host.tokens && {
      tokens: (characters) => contained("tokens", () => host.tokens?.(characters)) ?? 0,
    }),
    fault,
    warn: (message) => contained("warn", () => host.warn(message)),
  };
}

/** Runs one of our own steps; an error of ours is the host's to know and never the application's. */
export function guard<T>(host: Host, where: string, use: () => T): T | undefined {
  try {
    return use();
  } catch (error) {
    host.fault(where, error);
    return undefined;
  }
}
