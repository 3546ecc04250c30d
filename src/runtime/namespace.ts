import { z } from "zod";

const name = z
  .string()
  .regex(/^[\w.@-]{1,80}$/, "expected 1 to 80 letters, digits or any of _ . @ -")
  .default("default");

/** Options that every store takes. */
export const namespaceOptions = z.strictObject({
  tenant: name.describe("Whose state it is: nothing is shared between tenants."),
  workload: name.describe("Which application's state it is: nothing is shared between workloads."),
});
