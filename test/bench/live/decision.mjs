import { decidingAll } from "../gate.mjs";

const us = ({ mean, p99 }) => `mean ${mean.toFixed(1)} us, p99 ${p99.toFixed(1)} us`;

/** What all policies at once cost. */
export default async () => {
  const { all, gate } = await decidingAll();
  console.log(`all policies, a model call, 24 agents, 100 open runs: ${us(all)}`);
  console.log(`of that at the gate: ${us(gate)}`);
};
