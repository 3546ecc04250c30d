import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";

/** An answer with an error in OpenAI's shape. */
export class HttpError extends Error {
  readonly status: ContentfulStatusCode;
  readonly code: string;

  constructor(status: ContentfulStatusCode, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The body that goes with an error. */
export function errorBody(status: number, code: string, message: string): unknown {
  return {
    error: { message, type: status >= 500 ? "server_error" : "invalid_request_error", param: null, code },
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
  throw new HttpError(400, "invalid_request", z.prettifyError(result.error));
}
