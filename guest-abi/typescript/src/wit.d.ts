// The interfaces of guest-abi/wit as JavaScript has them: kebab-case is camelCase, an option is a value or undefined,
// `list<u8>` is Uint8Array, and a result that is an error is thrown.

declare module "alga:extension/context" {
  export function getContext(): import("./types.js").ContextData;
}
declare module "alga:extension/logging" {
  export function logInfo(message: string): void;
  export function logWarn(message: string): void;
  export function logError(message: string): void;
}
declare module "alga:extension/scheduler" {
  type Text = string | undefined;
  export interface ScheduleInfo {
    id: string;
    endpointPath: string;
    endpointMethod: string;
    name: Text;
    cron: string;
    timezone: string;
    enabled: boolean;
    payload: Text;
    lastRunAt: Text;
    lastRunStatus: Text;
    lastError: Text;
    createdAt: Text;
  }
  export interface Input {
    endpoint?: Text;
    cron?: Text;
    timezone?: Text;
    enabled?: boolean | undefined;
    name?: Text;
    payload?: Text;
  }
  export interface Outcome {
    success: boolean;
    scheduleId?: Text;
    error: Text;
    fieldErrors?: Text;
  }
  export function listSchedules(): ScheduleInfo[];
  export function getSchedule(scheduleId: string): ScheduleInfo | undefined;
  export function createSchedule(input: Input): Outcome;
  export function updateSchedule(scheduleId: string, input: Input): Outcome;
  export function deleteSchedule(scheduleId: string): Outcome;
  export function getEndpoints(): import("./types.js").EndpointInfo[];
}
declare module "alga:extension/secrets" {
  export function get(key: string): string;
  export function listKeys(): string[];
}
declare module "alga:extension/http" {
  export interface Request {
    method: string;
    url: string;
    headers: import("./types.js").HttpHeader[];
    body: Uint8Array | undefined;
  }
  export function fetch(request: Request): import("./types.js").HttpResponse;
}
declare module "alga:extension/storage" {
  export interface Entry {
    namespace: string;
    key: string;
    value: Uint8Array;
    revision: bigint | number | undefined;
  }
  export function get(namespace: string, key: string): Entry;
  export function put(entry: Entry): Entry;
  function remove(namespace: string, key: string): void;
  export { remove as delete };
  export function listEntries(namespace: string, cursor: string | undefined): Entry[];
}
declare module "alga:extension/ui-proxy" {
  export function callRoute(route: string, payload: Uint8Array | undefined): Uint8Array;
}
declare module "alga:extension/user-v2" {
  export interface User {
    tenantId: string;
    clientName: string;
    userId: string;
    userEmail: string;
    userName: string;
    userType: string;
    clientId: string | undefined;
    additionalFields: [string, string][];
  }
  export function getUser(): User;
}
declare module "alga:extension/invoicing" {
  export interface Outcome {
    success: boolean;
    invoiceId: string | undefined;
    invoiceNumber: string | undefined;
    status: string | undefined;
    subtotal: number | undefined;
    tax: number | undefined;
    total: number | undefined;
    error: string | undefined;
    fieldErrors: string | undefined;
  }
  type Absent<Value> = { [Key in keyof Value]: Value[Key] | undefined };
  type Item = Absent<import("./types.js").ManualInvoiceItemInput>;
  type Input = Absent<Omit<import("./types.js").CreateManualInvoiceInput, "items">> & { items: Item[] };
  export function createManualInvoice(input: Input): Outcome;
}
declare module "alga:extension/clients" {
  type Absent<Value> = { [Key in keyof Value]: Value[Key] | undefined };
  type Client = import("./types.js").ClientSummary;
  export function listClients(input: Absent<import("./types.js").ClientsListInput>): import("./types.js").Page<Client>;
  export function getClient(clientId: string): Client | undefined;
}
declare module "alga:extension/services" {
  type Absent<Value> = { [Key in keyof Value]: Value[Key] | undefined };
  type Service = import("./types.js").ServiceSummary;
  export function listServices(input: Absent<import("./types.js").ServicesListInput>): import("./types.js").Page<Service>;
  export function getService(serviceId: string): Service | undefined;
}
declare module "wasi:random/random@0.2.12" {
  export function getRandomBytes(length: number): Uint8Array;
}
