import { z } from "zod";

/** Options of a dashboard's server. */
export const dashboardOptions = z.strictObject({
  port: z.int().min(0).max(65535).default(4983).describe("TCP port; 0 takes a free one."),
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("Address to listen on; anything but this machine's own shows the page to the network."),
  allowedHosts: z
    .array(z.string().min(1))
    .default([])
    .describe("Further host names under which browsers may ask for the page, such as that of a proxy."),
  kvTokens: z
    .int()
    .positive()
    .optional()
    .describe(
      "KV budget of the engine in tokens, for the shadow lines; where the engine tells, that counts.",
    ),
  refreshMs: z
    .int()
    .min(100)
    .max(60_000)
    .default(500)
    .describe("Milliseconds between two updates of the page."),
});

/** What `sage.dashboard` takes: every option may be left out. */
export type DashboardOptionsInput = z.input<typeof dashboardOptions>;
export type DashboardOptions = z.output<typeof dashboardOptions>;
