import * as abi from "./abi";
import { jsonResponse } from "./http";
import { HostError } from "./reply";
import { Value } from "./value";

/**
 * What `list`, `get` and `getEndpoints` give: a value, or the host's error.
 *
 * AssemblyScript has no exceptions. Ask `error` first, or take the value with `orFail()`.
 */
export class Result<T> {
  constructor(
    /** The value; `null` after an error, and when `get` found nothing. */
    readonly value: T | null,
    /** Why there is no value; `null` when the call went well. */
    readonly error: HostError | null,
  ) {}

  /**
   * The value; an error ends the handler with a JSON response `{error: {code, message, ...}}`.
   *
   * Only for calls that always have a value when they go well: `list` and `getEndpoints`.
   */
  orFail(): T {
    const error = this.error;
    if (error !== null) fail(error);
    return this.value!;
  }
}

/** Answer `error` as JSON and end the execution, as an uncaught exception would elsewhere. */
export function fail(error: HostError): void {
  const body = Value.map().set("error", error.toValue());
  const message = jsonResponse(body, error.httpStatus()).encode();
  abi.respond(message.dataStart, message.length);
  abi.exit(0);
  unreachable();
}
