import { readdirSync, readFileSync } from "node:fs";
import { posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** `type` imports vanish when compiled; `dynamic` ones run when they are reached. */
export interface Import {
  readonly kind: "value" | "type" | "dynamic";
  /** A path below `src` for own files, such as `runtime/event.ts`; else the specifier as written. */
  readonly target: string;
  readonly isOwn: boolean;
}

export interface SourceFile {
  /** Below `src`, with forward slashes. */
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  /** Globals in use, such as `Date` or `Math.random`. */
  readonly globals: ReadonlySet<string>;
}

/** Reads one file's imports and globals from its syntax tree. */
export function parseSource(path: string, text: string): SourceFile {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const imports: Import[] = [];
  const globals = new Set<string>();
  const add = (kind: Import["kind"], specifier: string) => {
    const isOwn = specifier.startsWith(".");
    imports.push({ kind, isOwn, target: isOwn ? posix.join(posix.dirname(path), specifier) : specifier });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      const specifier = node.moduleSpecifier;
      if (specifier && ts.isStringLiteral(specifier))
        add(isTypeOnly(node) ? "type" : "value", specifier.text);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) add("type", node.argument.literal.text);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [specifier] = node.arguments;
      if (specifier && ts.isStringLiteralLike(specifier)) add("dynamic", specifier.text);
    } else if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      globals.add(`${node.expression.text}.${node.name.text}`);
      globals.add(node.expression.text);
      return;
    } else if (ts.isIdentifier(node) && !isName(node)) {
      globals.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return { path, lines: text.split("\n").length - 1, imports, globals };
}

/** Every TypeScript file below a folder. */
export function readSources(folder: URL): readonly SourceFile[] {
  const top = fileURLToPath(folder);
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => `${entry.parentPath}${sep}${entry.name}`)
    .map((file) => parseSource(relative(top, file).split(sep).join("/"), readFileSync(file, "utf8")));
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  const clause = node.importClause;
  if (clause === undefined || clause.isTypeOnly) return clause !== undefined;
  const bindings = clause.namedBindings;
  if (clause.name || !bindings || !ts.isNamedImports(bindings)) return false;
  return bindings.elements.length > 0 && bindings.elements.every((element) => element.isTypeOnly);
}

/** Whether an identifier only names a member, a key or a declaration, and so refers to nothing outside. */
function isName(node: ts.Identifier): boolean {
  const parent = node.parent as ts.Node & { readonly name?: ts.Node };
  return parent.name === node && !ts.isShorthandPropertyAssignment(parent);
}
