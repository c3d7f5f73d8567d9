// Generated from guest-abi/schema by `make docs`.

import {
  ClientSummary, decodeClientSummary, ClientsListInput, ClientsListResult, decodeClientsListResult,
  CreateManualInvoiceInput, CreatedInvoice, decodeCreatedInvoice, EntryList, decodeEntryList, FetchInput,
  FetchedResponse, decodeFetchedResponse, RouteCall, ServiceSummary, decodeServiceSummary, ServicesListInput,
  ServicesListResult, decodeServicesListResult, StorageEntry, decodeStorageEntry, StoragePage, StorageWrite,
  StoredRevision, decodeStoredRevision, TenantUser, decodeTenantUser,
} from "./documents";
import { ContextHost, LoggingHost, SchedulerHost } from "./host";
import { bytesOf, foundIn, itemText, listOf, recordOf, textOf } from "./members";
import { HostError, SCRATCH, SCRATCH_SIZE, takeReply } from "./reply";
import { Result } from "./result";
import { Value } from "./value";
import { encode } from "./writer";

@external("alga:clients", "list")
declare function clientsList(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:clients", "get")
declare function clientsGet(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:http", "fetch")
declare function httpFetch(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:invoicing", "create-manual-invoice")
declare function invoicingCreateManualInvoice(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:secrets", "get")
declare function secretsGet(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:secrets", "list-keys")
declare function secretsListKeys(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:services", "list")
declare function servicesList(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:services", "get")
declare function servicesGet(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:storage", "get")
declare function storageGet(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:storage", "put")
declare function storagePut(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:storage", "delete")
declare function storageDelete(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:storage", "list")
declare function storageList(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:ui-proxy", "call-route")
declare function uiProxyCallRoute(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

@external("alga:user", "get")
declare function userGet(ptr: usize, len: u32, replyPtr: usize, replyCap: u32): u32;

/** Every call needs `cap:client.read`. */
export class ClientsHost {
  /** The tenant's clients, one page at a time. */
  list(input: ClientsListInput): Result<ClientsListResult> {
    const request = encode(input.toValue());
    const length = clientsList(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return recordOf<ClientsListResult>(reply, ["items", "totalCount", "page", "pageSize"], decodeClientsListResult);
  }

  /** One client, if the tenant has one with that id. */
  get(clientId: string): Result<ClientSummary> {
    const request = encode(Value.map().set("clientId", Value.text(clientId)));
    const length = clientsGet(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return foundIn<ClientSummary>(reply, "client", decodeClientSummary);
  }
}

/** Every call needs `cap:http.fetch`. */
export class HttpHost {
  /** Send one request to another server that the operator allows, and give its answer. */
  fetch(input: FetchInput): Result<FetchedResponse> {
    const request = encode(input.toValue());
    const length = httpFetch(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return recordOf<FetchedResponse>(reply, ["status", "headers", "body"], decodeFetchedResponse);
  }
}

/** Every call needs `cap:invoice.manual.create`. */
export class InvoicingHost {
  /** Create an invoice for a client of the tenant. */
  createManualInvoice(input: CreateManualInvoiceInput): Result<CreatedInvoice> {
    const request = encode(input.toValue());
    const length = invoicingCreateManualInvoice(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return recordOf<CreatedInvoice>(reply, ["invoiceId", "invoiceNumber", "status", "subtotal", "tax", "total"], decodeCreatedInvoice);
  }
}

/** Every call needs `cap:secrets.get`. */
export class SecretsHost {
  /** One of the install's secrets. */
  get(key: string): Result<string> {
    const request = encode(Value.map().set("key", Value.text(key)));
    const length = secretsGet(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return textOf(reply, "value");
  }

  /** The names of the install's secrets. */
  listKeys(): Result<Array<string>> {
    const request = encode(Value.map());
    const length = secretsListKeys(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return listOf<string>(reply, "keys", itemText);
  }
}

/** Every call needs `cap:service.read`. */
export class ServicesHost {
  /** The services and products that the tenant sells, one page at a time. */
  list(input: ServicesListInput): Result<ServicesListResult> {
    const request = encode(input.toValue());
    const length = servicesList(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return recordOf<ServicesListResult>(reply, ["items", "totalCount", "page", "pageSize"], decodeServicesListResult);
  }

  /** One service or product, if the tenant has one with that id. */
  get(serviceId: string): Result<ServiceSummary> {
    const request = encode(Value.map().set("serviceId", Value.text(serviceId)));
    const length = servicesGet(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return foundIn<ServiceSummary>(reply, "service", decodeServiceSummary);
  }
}

/** Every call needs `cap:storage.kv`. */
export class StorageHost {
  /** One stored value, if there is one under that key. */
  get(namespace: string, key: string): Result<StorageEntry> {
    const request = encode(Value.map().set("namespace", Value.text(namespace)).set("key", Value.text(key)));
    const length = storageGet(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return foundIn<StorageEntry>(reply, "entry", decodeStorageEntry);
  }

  /** Store a value; with a revision, only in place of the value that has it. */
  put(input: StorageWrite): Result<StoredRevision> {
    const request = encode(input.toValue());
    const length = storagePut(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return recordOf<StoredRevision>(reply, ["revision"], decodeStoredRevision);
  }

  /** Delete a stored value. */
  delete(namespace: string, key: string): HostError | null {
    const request = encode(Value.map().set("namespace", Value.text(namespace)).set("key", Value.text(key)));
    const length = storageDelete(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return reply.error;
  }

  /** The stored values of a namespace by key, one page at a time. */
  list(input: StoragePage): Result<EntryList> {
    const request = encode(input.toValue());
    const length = storageList(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return recordOf<EntryList>(reply, ["entries"], decodeEntryList);
  }
}

/** Every call needs `cap:ui.proxy`. */
export class UiProxyHost {
  /** Call a route of the host's user interface, and give the body of its answer. */
  callRoute(input: RouteCall): Result<Uint8Array> {
    const request = encode(input.toValue());
    const length = uiProxyCallRoute(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return bytesOf(reply, "body");
  }
}

/** Every call needs `cap:user.read`. */
export class UserHost {
  /** The person behind the request, if there is one; a schedule's run has none. */
  get(): Result<TenantUser> {
    const request = encode(Value.map());
    const length = userGet(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE);
    const reply = takeReply(length);
    return foundIn<TenantUser>(reply, "user", decodeTenantUser);
  }
}

/** What the host offers to a handler. */
export class HostBindings {
  readonly scheduler: SchedulerHost = new SchedulerHost();
  readonly context: ContextHost = new ContextHost();
  readonly logging: LoggingHost = new LoggingHost();
  readonly clients: ClientsHost = new ClientsHost();
  readonly http: HttpHost = new HttpHost();
  readonly invoicing: InvoicingHost = new InvoicingHost();
  readonly secrets: SecretsHost = new SecretsHost();
  readonly services: ServicesHost = new ServicesHost();
  readonly storage: StorageHost = new StorageHost();
  readonly uiProxy: UiProxyHost = new UiProxyHost();
  readonly user: UserHost = new UserHost();
}
