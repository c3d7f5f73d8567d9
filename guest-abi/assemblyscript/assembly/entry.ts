import * as abi from "./abi";
import { HostBindings } from "./operations";
import { decodeRequest } from "./http";
import { Handler } from "./router";

/** The ABI's version. Its presence counts; it is never called. */
export function alga_abi_v1(): void {}

/** Read the request, have `handler` answer it, respond: the body of an extension's `alga_handle`. */
export function serve(requestLength: i32, handler: Handler): void {
  const bytes = new Uint8Array(requestLength);
  abi.request(bytes.dataStart, requestLength);
  const response = handler(decodeRequest(bytes), new HostBindings()).encode();
  abi.respond(response.dataStart, response.length);
}
