import { AsyncLocalStorage } from "node:async_hooks";
import type { CacheSageHandler } from "./handler.ts";
import { isObject } from "./shapes.ts";

/** The AsyncLocalStorage that all copies of LangChain and LangSmith in a process share, and its context variables. */
const STORAGE = Symbol.for("ls:tracing_async_local_storage");
const VARIABLES = Symbol.for("lc:context_variables");
/** Context variable in which each copy of @langchain/core keeps its configure hooks, under a symbol of its own. */
const HOOKS = "lc:configure_hooks";
const OURS = "cachesage.everywhere";

interface Storage {
  getStore(): unknown;
}

/**
 * Gives the handler to every run of this process, without a word in the application.
 *
 * LangChain has configure hooks for this: `registerConfigureHook` of @langchain/core. But it takes them into one copy of
 * the package, and from a place outside of the application nobody can tell which copies that will load: ESM or CommonJS,
 * a nested one, one inside a bundle. And it takes them into the current async context, which others may have left
 * by then. So no copy is loaded here, least of all our own: the storage that they share answers for all of them, in any
 * context, as if a hook had been registered and a context variable been set outside of any run.
 */
export function attachEverywhere(handler: CacheSageHandler): void {
  const hooks = [{ contextVar: OURS, inheritable: true }];
  const inherited = new Proxy<object>(
    {},
    {
      get(target, key) {
        if (key === OURS) return handler;
        return typeof key === "symbol" && key.description === HOOKS ? hooks : Reflect.get(target, key);
      },
    },
  );
  extend(sharedStorage(), inherited);
}

/**
 * The storage of this process. LangGraph sets one up where it is imported by its main entry, and uses the one that is there;
 * apps that import only `@langchain/langgraph/prebuilt` have none, and could not be seen without. What they notice of it is
 * what the main entry brings as well: calls without a config inherit that of the call around them.
 */
function sharedStorage(): Storage {
  const known: unknown = Reflect.get(globalThis, STORAGE);
  if (isStorage(known)) return known;
  const storage = new AsyncLocalStorage<unknown>();
  Reflect.set(globalThis, STORAGE, storage);
  return storage;
}

/** Lets context variables inherit ours; the application's own come first. */
function extend(storage: Storage, inherited: object): void {
  const getStore = storage.getStore.bind(storage);
  const outside = { [VARIABLES]: Object.create(inherited) as object };
  storage.getStore = () => {
    const store = getStore();
    if (store === undefined) return outside;
    if (!isObject(store)) return store;
    const { [VARIABLES]: own } = store as { [VARIABLES]?: unknown };
    if (own === undefined) Reflect.set(store, VARIABLES, Object.create(inherited));
    else if (isObject(own) && Reflect.getPrototypeOf(own) !== inherited)
      Reflect.setPrototypeOf(own, inherited);
    return store;
  };
}

function isStorage(value: unknown): value is Storage {
  return isObject(value) && typeof value["getStore"] === "function";
}
