import manifest from "../package.json" with { type: "json" };

/** What can be imported is what is documented: the sources of the package's exports. */
const entryPoints = Object.values(manifest.exports).flatMap(({ types }) =>
  types === undefined ? [] : types.replace("./dist/", "../src/").replace(".d.ts", ".ts"),
);

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  entryPoints,
  tsconfig: "../tsconfig.build.json",
  out: "../docs",
  // The schemas behind the types of options.
  intentionallyNotExported: ["connectOptions", "dashboardOptions", "options"],
  // The README links to folders too; test/readme.test.ts checks that they exist.
  validation: { invalidPath: false },
  // Links to sources would need a remote, which a checkout may not have.
  disableSources: true,
  treatWarningsAsErrors: true,
};
