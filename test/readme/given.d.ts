// What the README's fragments take for granted. A block marked `run` is complete: it gets none of this when it runs.

declare const url: string;
declare const registry: import("prom-client").Registry;
