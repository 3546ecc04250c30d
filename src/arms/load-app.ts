import { MissingDependencyError } from "../errors.ts";

/** Loads an app on LangGraph.js and ChatOpenAI, which are peers of this package. Throws MissingDependencyError. */
export async function loadApp<App>(owner: string, load: () => Promise<App>): Promise<App> {
  try {
    return await load();
  } catch (error) {
    const missing = /Cannot find (?:package|module) '([^'.][^']*)'/.exec(String(error))?.[1];
    if (missing === undefined) throw error;
    throw new MissingDependencyError(owner, missing, error);
  }
}
