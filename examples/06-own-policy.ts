// A policy of your own, as short as they come: tools that deploy rest at night.
import { ActionDeniedError, CacheSage, definePolicy } from "cachesage";
import { z } from "zod";

const quietHours = definePolicy({
  name: "quiet-hours",
  description: "Stops tools while it is night",
  subject: "tool-call",
  actions: ["deny"],
  options: z.strictObject({ tools: z.array(z.string()).default(["deploy"]).describe("Tools that rest.") }),
  create: ({ options }) => ({
    act: (ranked) =>
      ranked
        .filter(({ item }) => options.tools.includes(item.tool))
        .map(({ item: call }) => ({ type: "deny" as const, call, reason: "it is night" })),
  }),
});

const sage = await CacheSage.connect({ policies: { "quiet-hours": quietHours } });
const deploy = sage.tool(async (to: string) => `deployed to ${to}`, { name: "deploy" });
await deploy("production").catch((error: unknown) => {
  if (ActionDeniedError.isInstance(error)) console.log(error.message);
});
await sage.close();
