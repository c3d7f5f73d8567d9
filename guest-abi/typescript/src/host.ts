// The host's functions, as guest-abi/wit imports them, in the shape of `HostBindings`.

import * as clients from "alga:extension/clients";
import { getContext } from "alga:extension/context";
import * as http from "alga:extension/http";
import { createManualInvoice } from "alga:extension/invoicing";
import * as logging from "alga:extension/logging";
import * as scheduler from "alga:extension/scheduler";
import * as secrets from "alga:extension/secrets";
import * as services from "alga:extension/services";
import * as storage from "alga:extension/storage";
import { callRoute } from "alga:extension/ui-proxy";
import { getUser } from "alga:extension/user-v2";
import { bytes, flag, list, number, oneOf, optional, printable, record, text, u32, whole } from "./checks.js";
import {
  HostError,
  type HostBindings,
  type ScheduleInfo,
  type StorageEntry,
  type UserData,
} from "./types.js";

const header = record({ name: text, value: text });
const httpRequest = record({ method: text, url: text, headers: list(header), body: optional(bytes) });
const storageEntry = record({
  namespace: text,
  key: text,
  value: bytes,
  revision: optional(whole(0, Number.MAX_SAFE_INTEGER)),
});
const settings = { timezone: optional(text), enabled: optional(flag), name: optional(text) };
const newSchedule = record({ endpoint: text, cron: text, ...settings });
const changes = record({ endpoint: optional(text), cron: optional(text), ...settings });
const invoice = record({
  clientId: text,
  items: list(
    record({
      serviceId: text,
      quantity: number,
      description: text,
      rate: number,
      isDiscount: optional(flag),
      discountType: optional(oneOf("percentage", "fixed")),
      appliesToItemId: optional(text),
      appliesToServiceId: optional(text),
    }),
  ),
  invoiceDate: optional(text),
  dueDate: optional(text),
  poNumber: optional(text),
});
const clientsSearch = record({
  search: optional(text),
  includeInactive: optional(flag),
  page: optional(u32),
  pageSize: optional(u32),
});
const servicesSearch = record({
  search: optional(text),
  itemKind: optional(oneOf("service", "product")),
  isActive: optional(flag),
  billingMethod: optional(oneOf("fixed", "hourly", "usage")),
  page: optional(u32),
  pageSize: optional(u32),
});

/** The host of the execution under way. Every capability is there; one that was not granted is refused when it is used. */
export function createHost(): HostBindings {
  return {
    get context() {
      return present(getContext());
    },
    secrets: {
      get: (key) => attempt("secrets.get", () => secrets.get(text(key, "key"))),
      list: () => attempt("secrets.list", () => secrets.listKeys()),
    },
    http: {
      fetch: (request) => attempt("http.fetch", () => present(http.fetch(httpRequest(request, "request")))),
    },
    storage: {
      get: (namespace, key) => attempt("storage.get", () => entry(storage.get(text(namespace, "namespace"), text(key, "key")))),
      put: (given) => attempt("storage.put", () => entry(storage.put(storageEntry(given, "entry")))),
      delete: (namespace, key) =>
        attempt("storage.delete", () => storage.delete(text(namespace, "namespace"), text(key, "key"))),
      list: (namespace, cursor) =>
        attempt("storage.list", () =>
          storage.listEntries(text(namespace, "namespace"), optional(text)(cursor, "cursor")).map(entry),
        ),
    },
    logging: {
      info: (message) => attempt("logging.info", () => logging.logInfo(printable(message))),
      warn: (message) => attempt("logging.warn", () => logging.logWarn(printable(message))),
      error: (message) => attempt("logging.error", () => logging.logError(printable(message))),
    },
    uiProxy: {
      callRoute: (route, payload) =>
        attempt("uiProxy.callRoute", () => callRoute(text(route, "route"), optional(bytes)(payload, "payload"))),
    },
    scheduler: {
      list: () => attempt("scheduler.list", () => scheduler.listSchedules().map(schedule)),
      get: (scheduleId) =>
        attempt("scheduler.get", () => {
          const found = scheduler.getSchedule(text(scheduleId, "scheduleId"));
          return found ? schedule(found) : null;
        }),
      create: (input) =>
        outcome("scheduler.create", () =>
          scheduler.createSchedule({ ...newSchedule(input, "input"), payload: json(input.payload) }),
        ),
      update: (scheduleId, input) =>
        outcome("scheduler.update", () =>
          scheduler.updateSchedule(text(scheduleId, "scheduleId"), {
            ...changes(input, "input"),
            payload: input.payload === null ? "" : json(input.payload),
          }),
        ),
      delete: (scheduleId) =>
        outcome("scheduler.delete", () => scheduler.deleteSchedule(text(scheduleId, "scheduleId"))),
      getEndpoints: () => attempt("scheduler.getEndpoints", () => scheduler.getEndpoints()),
    },
    invoicing: {
      createManualInvoice: (input) =>
        outcome("invoicing.createManualInvoice", () => createManualInvoice(invoice(input, "input"))),
    },
    user: {
      getUser: () => attempt("user.getUser", (): UserData => {
        const { additionalFields, ...user } = getUser();
        return { ...present(user), additionalFields: Object.fromEntries(additionalFields) };
      }),
    },
    clients: {
      list: (input = {}) => attempt("clients.list", () => page(clients.listClients(clientsSearch(input, "input")))),
      get: (clientId) => attempt("clients.get", () => presentOrNull(clients.getClient(text(clientId, "clientId")))),
    },
    services: {
      list: (input = {}) => attempt("services.list", () => page(services.listServices(servicesSearch(input, "input")))),
      get: (serviceId) => attempt("services.get", () => presentOrNull(services.getService(text(serviceId, "serviceId")))),
    },
  };
}

/** Members that may be absent: WIT's bindings write `undefined`, and some write `null`. */
type Absent<Value> = { [Key in keyof Value]: Value[Key] | undefined };

function present<Value extends object>(value: Absent<Value>): Value {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined && member !== null),
  ) as Value;
}

function presentOrNull<Value extends object>(value: Value | undefined | null): Value | null {
  return value ? present<Value>(value as Absent<Value>) : null;
}

function page<Item extends object>(found: { items: Item[]; totalCount: number; page: number; pageSize: number }) {
  return { ...found, items: found.items.map((item) => present<Item>(item as Absent<Item>)) };
}

function schedule(info: scheduler.ScheduleInfo): ScheduleInfo {
  const { payload, ...rest } = info;
  const made = present<ScheduleInfo>(rest);
  return typeof payload === "string" && payload !== "" ? { ...made, payload: JSON.parse(payload) } : made;
}

function entry(stored: storage.Entry): StorageEntry {
  const { revision, ...rest } = stored;
  return revision === undefined || revision === null ? rest : { ...rest, revision: Number(revision) };
}

function json(payload: unknown): string | undefined {
  return payload === undefined ? undefined : JSON.stringify(payload);
}

/** Turn an error that the bindings threw into a `HostError`. */
function refused(operation: string, error: unknown): unknown {
  const code = (error as { payload?: unknown } | undefined)?.payload;
  return typeof code === "string" ? new HostError(code, operation) : error;
}

async function attempt<Value>(operation: string, call: () => Value): Promise<Value> {
  try {
    return call();
  } catch (error) {
    throw refused(operation, error);
  }
}

interface Outcome {
  success: boolean;
  error: string | undefined;
  fieldErrors?: string | undefined;
}

type Result<Raw> = { success: boolean; error?: string; fieldErrors?: Record<string, string> } & {
  [Key in Exclude<keyof Raw, "success" | "error" | "fieldErrors">]?: Exclude<Raw[Key], undefined>;
};

/** The answer of a write. It never throws: a fault of the call itself is an answer, too. */
async function outcome<Raw extends Outcome>(operation: string, call: () => Raw): Promise<Result<Raw>> {
  try {
    const { fieldErrors, ...rest } = call();
    const faults = fieldErrors ? { fieldErrors: JSON.parse(fieldErrors) as Record<string, string> } : {};
    return { ...present<object>(rest), ...faults } as Result<Raw>;
  } catch (error) {
    const reason = refused(operation, error);
    if (reason instanceof HostError) return { success: false, error: reason.message } as Result<Raw>;
    const why = reason instanceof Error ? reason.message : String(reason);
    return { success: false, error: `${operation} was not called: ${why}.` } as Result<Raw>;
  }
}
