export {
  type ConformanceCase,
  engineConformance,
  type EngineSubject,
  type HealthyServer,
} from "./engine-conformance.ts";
export { type PolicyCase, policyConformance } from "./policy-conformance.ts";
export {
  type Answer,
  type Fault,
  startTrialServer,
  type TrialRequest,
  type TrialServer,
} from "./trial-server.ts";
