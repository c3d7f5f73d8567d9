// An extension in JavaScript that does what its author should not: see test_typescript_sdk.py.

import { jsonResponse } from "alga-extension";

const ODD = "a\ud800b";
const refusal = (error) => ({ name: error.name, code: error.code, message: error.message });

const paths = {
  "/nothing": () => undefined,
  "/status": () => ({ status: 65736, headers: [] }),
  "/body": () => ({ status: 200, headers: [], body: "text" }),
  "/header": () => ({ status: 200, headers: [{ name: "x", value: ODD }] }),
  "/throw": () => {
    throw new Error(ODD, { cause: new RangeError("too far") });
  },
  "/reject": () => Promise.reject({ code: 7 }),
  "/create": (host) => host.scheduler.create(),
  "/update": (host) => host.scheduler.update("id", { cron: 5 }),
  "/delete": (host) => host.scheduler.delete(ODD),
  "/payload": (host) => {
    const payload = {};
    payload.payload = payload;
    return host.scheduler.create({ endpoint: "/sync", cron: "0 * * * *", payload });
  },
  "/invoice": (host) => host.invoicing.createManualInvoice({ clientId: "c", items: [{ quantity: "1" }] }),
  "/denied": (host) => host.scheduler.list().catch(refusal),
  "/unavailable": (host) => {
    const entry = { namespace: "n", key: "k", value: new Uint8Array([1]), revision: 2 ** 53 - 1 };
    return host.storage.put(entry).catch(refusal);
  },
  "/log": async (host) => {
    await host.logging.info(ODD);
    await host.logging.warn({});
    console.log("plain", ODD);
  },
  "/platform": () => ({ now: Date.now(), random: Math.random(), uuid: crypto.randomUUID() }),
};

export async function handler(request, host) {
  const answer = await paths[request.http.url](host);
  const isResponse = ["/nothing", "/status", "/body", "/header"].includes(request.http.url);
  return isResponse ? answer : jsonResponse(answer ?? null);
}
