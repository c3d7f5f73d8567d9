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
import {
  HostError,
  type HostBindings,
  type ScheduleInfo,
  type StorageEntry,
  type UserData,
} from "./types.js";

/** The host of the execution under way. Every capability is there; one that was not granted is refused when it is used. */
export function createHost(): HostBindings {
  return {
    get context() {
      return present(getContext());
    },
    secrets: {
      get: (key) => attempt("secrets.get", () => secrets.get(key)),
      list: () => attempt("secrets.list", () => secrets.listKeys()),
    },
    http: {
      fetch: (request) => attempt("http.fetch", () => present(http.fetch(request))),
    },
    storage: {
      get: (namespace, key) => attempt("storage.get", () => entry(storage.get(namespace, key))),
      put: (given) =>
        attempt("storage.put", () => entry(storage.put({ ...given, revision: given.revision }))),
      delete: (namespace, key) => attempt("storage.delete", () => storage.delete(namespace, key)),
      list: (namespace, cursor) =>
        attempt("storage.list", () => storage.listEntries(namespace, cursor).map(entry)),
    },
    logging: {
      info: (message) => attempt("logging.info", () => logging.logInfo(message)),
      warn: (message) => attempt("logging.warn", () => logging.logWarn(message)),
      error: (message) => attempt("logging.error", () => logging.logError(message)),
    },
    uiProxy: {
      callRoute: (route, payload) => attempt("uiProxy.callRoute", () => callRoute(route, payload)),
    },
    scheduler: {
      list: () => attempt("scheduler.list", () => scheduler.listSchedules().map(schedule)),
      get: (scheduleId) =>
        attempt("scheduler.get", () => {
          const found = scheduler.getSchedule(scheduleId);
          return found ? schedule(found) : null;
        }),
      create: (input) =>
        outcome("scheduler.create", () => scheduler.createSchedule({ ...input, payload: json(input.payload) })),
      update: (scheduleId, input) =>
        outcome("scheduler.update", () =>
          scheduler.updateSchedule(scheduleId, {
            ...input,
            payload: input.payload === null ? "" : json(input.payload),
          }),
        ),
      delete: (scheduleId) => outcome("scheduler.delete", () => scheduler.deleteSchedule(scheduleId)),
      getEndpoints: () => attempt("scheduler.getEndpoints", () => scheduler.getEndpoints()),
    },
    invoicing: {
      createManualInvoice: (input) =>
        outcome("invoicing.createManualInvoice", () => createManualInvoice(input)),
    },
    user: {
      getUser: () => attempt("user.getUser", (): UserData => {
        const { additionalFields, ...user } = getUser();
        return { ...present(user), additionalFields: Object.fromEntries(additionalFields) };
      }),
    },
    clients: {
      list: (input = {}) => attempt("clients.list", () => page(clients.listClients(input))),
      get: (clientId) => attempt("clients.get", () => presentOrNull(clients.getClient(clientId))),
    },
    services: {
      list: (input = {}) => attempt("services.list", () => page(services.listServices(input))),
      get: (serviceId) => attempt("services.get", () => presentOrNull(services.getService(serviceId))),
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
    return { success: false, error: reason instanceof Error ? reason.message : String(reason) } as Result<Raw>;
  }
}
