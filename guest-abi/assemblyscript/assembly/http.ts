import { ContextData, decodeContext } from "./context";
import { fromJson, toJson } from "./json";
import { textOr } from "./members";
import { Fault, Reader } from "./reader";
import { isUtf8 } from "./utf8";
import { Kind, Value } from "./value";
import { Writer } from "./writer";

export class HttpHeader {
  constructor(readonly name: string, readonly value: string) {}
}

/** `header` as a document. */
export function headerValue(header: HttpHeader): Value {
  return Value.map().set("name", Value.text(header.name)).set("value", Value.text(header.value));
}

/** The header that `value` is. */
export function decodeHeader(value: Value): HttpHeader {
  return new HttpHeader(textOr(value, "name"), textOr(value, "value"));
}

/** The HTTP request an extension answers. `url` is the path, then `?` and the query if there is one. */
export class HttpRequest {
  constructor(
    readonly method: string,
    readonly url: string,
    readonly headers: Array<HttpHeader>,
    /** `null` when there is no body; an empty body is an empty array. */
    readonly body: Uint8Array | null,
  ) {}

  /** The url up to its query. */
  path(): string {
    const query = this.url.indexOf("?");
    return query < 0 ? this.url : this.url.substring(0, query);
  }

  /**
   * The first value of that name in the query, decoded; `null` when it is absent. That of `payload` is the JSON text which a
   * schedule gives to a GET. Bytes that are not UTF-8 come out as other characters.
   */
  query(name: string): string | null {
    const start = this.url.indexOf("?");
    if (start < 0) return null;
    const pairs = this.url.substring(start + 1).split("&");
    for (let i = 0; i < pairs.length; i++) {
      const equals = pairs[i].indexOf("=");
      const key = equals < 0 ? pairs[i] : pairs[i].substring(0, equals);
      if (percentDecoded(key) == name) return equals < 0 ? "" : percentDecoded(pairs[i].substring(equals + 1));
    }
    return null;
  }

  /** The first header of that name, in any case; `null` when it is absent. */
  header(name: string): string | null {
    const wanted = name.toLowerCase();
    for (let i = 0; i < this.headers.length; i++) {
      if (this.headers[i].name.toLowerCase() == wanted) return this.headers[i].value;
    }
    return null;
  }

  /** Whether there is a body with something in it. */
  hasBody(): bool {
    const body = this.body;
    return body !== null && body.length > 0;
  }

  /** The body as text; empty without a body. Bytes that are not UTF-8 come out as other characters. */
  text(): string {
    const body = this.body;
    return body === null ? "" : String.UTF8.decodeUnsafe(body.dataStart, body.length);
  }

  /** The body's JSON value; `null` when it is not JSON in UTF-8. */
  json(): Value | null {
    const body = this.body;
    return body !== null && isUtf8(body.dataStart, body.length) ? fromJson(this.text()) : null;
  }
}

/** One call of the extension: who calls (`context`), what for (`http`), on whose behalf (`user`, if a person). */
export class ExecuteRequest {
  constructor(readonly context: ContextData, readonly http: HttpRequest, readonly user: Value | null) {}
}

export class ExecuteResponse {
  headers: Array<HttpHeader> = new Array<HttpHeader>();

  constructor(public status: i32, public body: Uint8Array | null = null) {}

  /** Add a header. Returns this response. */
  header(name: string, value: string): ExecuteResponse {
    this.headers.push(new HttpHeader(name, value));
    return this;
  }

  /** The response document: `{status, headers, body}`. */
  encode(): Uint8Array {
    const body = this.body;
    const writer = new Writer(body === null ? 256 : 256 + body.length);
    writer.map(3);
    writer.text("status");
    writer.int(this.status);
    writer.text("headers");
    writer.list(this.headers.length);
    for (let i = 0; i < this.headers.length; i++) {
      writer.map(2);
      writer.text("name");
      writer.text(this.headers[i].name);
      writer.text("value");
      writer.text(this.headers[i].value);
    }
    writer.text("body");
    if (body === null) writer.nil();
    else writer.binary(body);
    return writer.bytes();
  }
}

function percentDecoded(text: string): string {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE));
  let length = 0;
  for (let i = 0; i < bytes.length; i++, length++) {
    const high = bytes[i] == 0x25 && i + 2 < bytes.length ? hexDigit(bytes[i + 1]) : -1; // a percent sign
    const low = high < 0 ? -1 : hexDigit(bytes[i + 2]);
    if (low < 0) {
      bytes[length] = bytes[i] == 0x2b ? 0x20 : bytes[i]; // a plus sign is a space
    } else {
      bytes[length] = <u8>(high * 16 + low);
      i += 2;
    }
  }
  return String.UTF8.decodeUnsafe(bytes.dataStart, length);
}

function hexDigit(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** A JSON response. */
export function jsonResponse(body: Value, status: i32 = 200): ExecuteResponse {
  const text = String.UTF8.encode(toJson(body), false, String.UTF8.ErrorMode.REPLACE);
  return new ExecuteResponse(status, Uint8Array.wrap(text)).header("content-type", "application/json");
}

/** A response without a body. */
export function emptyResponse(status: i32 = 204): ExecuteResponse {
  return new ExecuteResponse(status);
}

/** The request that `bytes` are. The host wrote them, so a fault is the host's, and aborts. */
export function decodeRequest(bytes: Uint8Array): ExecuteRequest {
  const reader = Reader.of(bytes);
  const document = reader.document();
  if (reader.fault != Fault.None) throw new Error("The host's request cannot be read: " + reader.message);
  const http = document.get("http");
  if (http === null) throw new Error("The host's request has no http member");
  const method = http.getText("method");
  const url = http.getText("url");
  if (method === null || url === null) throw new Error("The host's request has no method or url");
  const body = http.get("body");
  const user = document.get("user");
  return new ExecuteRequest(
    decodeContext(document.get("context")),
    new HttpRequest(
      method, url, decodeHeaders(http.get("headers")), body !== null && body.kind == Kind.Bytes ? body.bytes : null,
    ),
    user !== null && user.kind == Kind.Map ? user : null,
  );
}

function decodeHeaders(value: Value | null): Array<HttpHeader> {
  const result = new Array<HttpHeader>();
  if (value === null || value.kind != Kind.List) return result;
  for (let i = 0; i < value.items.length; i++) {
    const name = value.items[i].getText("name");
    const text = value.items[i].getText("value");
    if (name !== null && text !== null) result.push(new HttpHeader(name, text));
  }
  return result;
}
