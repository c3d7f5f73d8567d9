// An extension in JavaScript that makes each call of the Alga server besides schedules: see test_typescript_capabilities.py.

import { jsonResponse } from "alga-extension";

const ID = "3f0f6a52-0e3b-4a5e-8d0a-5c1d1b6f2d11";
const readable = (entry) => ({ ...entry, value: [...entry.value] });

const paths = {
  "/user": (host) => host.user.getUser(),
  "/get": async (host) => readable(await host.storage.get("settings", "theme")),
  "/put": async (host) =>
    readable(await host.storage.put({ namespace: "settings", key: "theme", value: new Uint8Array([0, 255]), revision: 3 })),
  "/delete": (host) => host.storage.delete("settings", "theme"),
  "/list": async (host) => (await host.storage.list("settings")).map(readable),
  "/clients": (host) => host.clients.list({ search: "Ana", includeInactive: true, pageSize: 30 }),
  "/client": (host) => host.clients.get(ID),
  "/services": (host) => host.services.list({ itemKind: "product", billingMethod: "usage", isActive: false }),
  "/service": (host) => host.services.get(ID),
  "/invoice": (host) =>
    host.invoicing.createManualInvoice({
      clientId: ID,
      items: [
        { serviceId: ID, quantity: 1.5, description: "Calls", rate: 10000 },
        { serviceId: ID, quantity: 1, description: "Less", rate: 5, isDiscount: true, discountType: "percentage" },
      ],
      dueDate: "2026-03-29",
    }),
};

export async function handler(request, host) {
  try {
    return jsonResponse((await paths[request.http.url](host)) ?? null);
  } catch (error) {
    return jsonResponse({ code: error.code }, 502);
  }
}
