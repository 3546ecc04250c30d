import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";

/** An answer with an error in OpenAI's shape. */
export class HttpError extends Error {
  readonly status: ContentfulStatusCode;
  readonly code: string;
  /** Field of the body that is at fault. */
  readonly param: string | null;

  constructor(status: ContentfulStatusCode, code: string, message: string, param: string | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

/** The body that goes with an error. */
export function errorBody(
  status: number,
  code: string,
  message: string,
  param: string | null = null,
): unknown {
  return {
    error: { message, type: status >= 500 ? "server_error" : "invalid_request_error", param, code },
  };
}

/** Reads a JSON body of this shape. Throws HttpError 400 that says what is wrong. */
export async function readBody<Schema extends z.ZodType>(
  request: { text(): Promise<string> },
  schema: Schema,
): Promise<z.output<Schema>> {
  const text = await request.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, "invalid_json", `The body is not JSON: ${(error as Error).message}`);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [first] = result.error.issues;
  throw new HttpError(
    400,
    "invalid_request",
    z.prettifyError(result.error),
    first === undefined || first.path.length === 0 ? null : z.core.toDotPath(first.path),
  );
}
