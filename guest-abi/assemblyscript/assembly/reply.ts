import * as abi from "./abi";
import { Reader, Fault } from "./reader";
import { Kind, Value } from "./value";

/** What a guest can meet in a refused host call (guest-abi/ABI.md, "Codes"). */
export namespace HostErrorCode {
  export const DENIED = "denied";
  export const NOT_FOUND = "not-found";
  export const VALIDATION_FAILED = "validation-failed";
  export const QUOTA_EXCEEDED = "quota-exceeded";
  export const RATE_LIMITED = "rate-limited";
  export const CONFLICT = "conflict";
  export const EXPIRED = "expired";
  export const TOO_LARGE = "too-large";
  export const TIMEOUT = "timeout";
  export const UNAVAILABLE = "unavailable";
  export const UNSUPPORTED = "unsupported";
  export const INTERNAL = "internal";
}

const KNOWN_CODES: StaticArray<string> = [
  "denied", "not-found", "validation-failed", "quota-exceeded", "rate-limited", "conflict", "expired", "too-large",
  "timeout", "unavailable", "unsupported", "internal",
];

/** Why the host refused a call. A code this SDK does not know reads as `internal`. */
export class HostError {
  readonly code: string;
  readonly message: string;
  /** A field of the request -> what is wrong with it; `null` when no field is to blame. */
  readonly fieldErrors: Map<string, string> | null;
  /** When trying again makes sense, in milliseconds; -1 when the host does not say. */
  readonly retryAfterMs: i64;
  /** Whether the same call may succeed later, and does no harm if this one was carried out after all. */
  readonly retryable: bool;

  constructor(
    code: string,
    message: string,
    fieldErrors: Map<string, string> | null = null,
    retryAfterMs: i64 = -1,
    retryable: bool = false,
  ) {
    this.code = KNOWN_CODES.includes(code) ? code : HostErrorCode.INTERNAL;
    this.message = message;
    this.fieldErrors = fieldErrors;
    this.retryAfterMs = retryAfterMs;
    this.retryable = retryable;
  }

  /** The HTTP status that tells the extension's own caller what happened. */
  httpStatus(): i32 {
    if (this.code == HostErrorCode.DENIED) return 403;
    const later =
      this.code == HostErrorCode.UNAVAILABLE ||
      this.code == HostErrorCode.TIMEOUT ||
      this.code == HostErrorCode.RATE_LIMITED;
    return later ? 503 : 502;
  }

  /** `{code, message, fieldErrors?, retryAfterMs?, retryable?}`, as it came. */
  toValue(): Value {
    const result = Value.map().set("code", Value.text(this.code)).set("message", Value.text(this.message));
    const fieldErrors = this.fieldErrors;
    if (fieldErrors !== null) {
      const fields = Value.map();
      const keys = fieldErrors.keys();
      for (let i = 0; i < keys.length; i++) fields.set(keys[i], Value.text(fieldErrors.get(keys[i])));
      result.set("fieldErrors", fields);
    }
    if (this.retryAfterMs >= 0) result.set("retryAfterMs", Value.int(this.retryAfterMs));
    if (this.retryable) result.set("retryable", Value.bool(true));
    return result;
  }
}

/** The host's answer to one call: a map, or an error. */
export class Reply {
  constructor(readonly value: Value, readonly error: HostError | null) {}
}

/** Where replies land in one crossing; a longer one is fetched. Static, so it needs no clearing first. */
export const SCRATCH: usize = memory.data(4096);
export const SCRATCH_SIZE: u32 = 4096;

/** The reply of a host call that was given `SCRATCH` and returned `length`. */
export function takeReply(length: u32): Reply {
  if (length <= SCRATCH_SIZE) return readReply(new Reader(SCRATCH, length));
  const bytes = new Uint8Array(length);
  if (abi.reply(bytes.dataStart, length) != length) return unreadable("it changed its length");
  return decodeReply(bytes);
}

/** The reply that `bytes` are: `{ok: {...}}` or `{err: {code, message, fieldErrors?, retryAfterMs?, retryable?}}`. */
export function decodeReply(bytes: Uint8Array): Reply {
  return readReply(Reader.of(bytes));
}

function readReply(reader: Reader): Reply {
  const envelope = reader.document();
  if (reader.fault != Fault.None) return unreadable(reader.message);
  const value = envelope.get("ok");
  if (value !== null && value.kind == Kind.Map) return new Reply(value, null);
  const error = envelope.get("err");
  if (error === null || error.kind != Kind.Map) return unreadable("it has neither a map as ok nor one as err");
  const code = error.getText("code");
  const message = error.getText("message");
  return new Reply(Value.nil(), new HostError(
    code === null ? HostErrorCode.INTERNAL : code,
    message === null ? "The host gave no message." : message,
    textMap(error.get("fieldErrors")),
    error.getInt("retryAfterMs", -1),
    error.getBool("retryable"),
  ));
}

function textMap(value: Value | null): Map<string, string> | null {
  if (value === null || value.kind != Kind.Map) return null;
  const result = new Map<string, string>();
  const keys = value.members.keys();
  for (let i = 0; i < keys.length; i++) {
    const text = value.getText(keys[i]);
    if (text !== null) result.set(keys[i], text);
  }
  return result;
}

function unreadable(why: string): Reply {
  return new Reply(Value.nil(), new HostError(HostErrorCode.INTERNAL, "The host's reply cannot be read: " + why + "."));
}
