// Generated from guest-abi/schema by `make docs`.

import { decodeHeader, HttpHeader, headerValue } from "./http";
import { bytesOr, floatOr, listOr, listValue, present, textOr } from "./members";
import { Value } from "./value";

/** One client of the tenant. */
export class ClientSummary {
  clientId: string = "";
  clientName: string = "";
  /** Such as `company` or `individual`. */
  clientType: string | null = null;
  isInactive: bool = false;
  /** Such as `EUR`. */
  defaultCurrencyCode: string | null = null;
  accountManagerId: string | null = null;
  accountManagerName: string | null = null;
  billingEmail: string | null = null;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("clientId", Value.text(this.clientId));
    result.set("clientName", Value.text(this.clientName));
    result.setText("clientType", this.clientType);
    result.set("isInactive", Value.bool(this.isInactive));
    result.setText("defaultCurrencyCode", this.defaultCurrencyCode);
    result.setText("accountManagerId", this.accountManagerId);
    result.setText("accountManagerName", this.accountManagerName);
    result.setText("billingEmail", this.billingEmail);
    return result;
  }
}

/** The ClientSummary that `value` is. */
export function decodeClientSummary(value: Value): ClientSummary {
  const result = new ClientSummary();
  result.clientId = textOr(value, "clientId");
  result.clientName = textOr(value, "clientName");
  result.clientType = value.getText("clientType");
  result.isInactive = value.getBool("isInactive");
  result.defaultCurrencyCode = value.getText("defaultCurrencyCode");
  result.accountManagerId = value.getText("accountManagerId");
  result.accountManagerName = value.getText("accountManagerName");
  result.billingEmail = value.getText("billingEmail");
  return result;
}

/** Which clients to list. */
export class ClientsListInput {
  /** A part of the name. */
  search: string | null = null;
  /** False by default. */
  includeInactive: Value | null = null;
  /** 1 by default. */
  page: Value | null = null;
  /** 25 by default. */
  pageSize: Value | null = null;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.setText("search", this.search);
    result.setValue("includeInactive", this.includeInactive);
    result.setValue("page", this.page);
    result.setValue("pageSize", this.pageSize);
    return result;
  }
}

/** The ClientsListInput that `value` is. */
export function decodeClientsListInput(value: Value): ClientsListInput {
  const result = new ClientsListInput();
  result.search = value.getText("search");
  result.includeInactive = present(value, "includeInactive");
  result.page = present(value, "page");
  result.pageSize = present(value, "pageSize");
  return result;
}

/** One page of clients. */
export class ClientsListResult {
  items: Array<ClientSummary> = new Array<ClientSummary>();
  /** How many there are on all pages. */
  totalCount: i64 = 0;
  page: i64 = 0;
  pageSize: i64 = 0;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("items", listValue<ClientSummary>(this.items, (item: ClientSummary) => item.toValue()));
    result.set("totalCount", Value.int(this.totalCount));
    result.set("page", Value.int(this.page));
    result.set("pageSize", Value.int(this.pageSize));
    return result;
  }
}

/** The ClientsListResult that `value` is. */
export function decodeClientsListResult(value: Value): ClientsListResult {
  const result = new ClientsListResult();
  const items = present(value, "items");
  if (items !== null) result.items = listOr<ClientSummary>(items, decodeClientSummary);
  result.totalCount = value.getInt("totalCount");
  result.page = value.getInt("page");
  result.pageSize = value.getInt("pageSize");
  return result;
}

/** An invoice to create. */
export class CreateManualInvoiceInput {
  /** Such as `2026-03-29`. */
  invoiceDate: string | null = null;
  /** Likewise. */
  dueDate: string | null = null;
  /** Up to 128 characters. */
  poNumber: string | null = null;

  constructor(
    /** A UUID. */
    public clientId: string,
    /** One at least. */
    public items: Array<ManualInvoiceItemInput>,
  ) {}

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("clientId", Value.text(this.clientId));
    result.set("items", listValue<ManualInvoiceItemInput>(this.items, (item: ManualInvoiceItemInput) => item.toValue()));
    result.setText("invoiceDate", this.invoiceDate);
    result.setText("dueDate", this.dueDate);
    result.setText("poNumber", this.poNumber);
    return result;
  }
}

/** The CreateManualInvoiceInput that `value` is. */
export function decodeCreateManualInvoiceInput(value: Value): CreateManualInvoiceInput {
  const result = new CreateManualInvoiceInput("", new Array<ManualInvoiceItemInput>());
  result.clientId = textOr(value, "clientId");
  const items = present(value, "items");
  if (items !== null) result.items = listOr<ManualInvoiceItemInput>(items, decodeManualInvoiceItemInput);
  result.invoiceDate = value.getText("invoiceDate");
  result.dueDate = value.getText("dueDate");
  result.poNumber = value.getText("poNumber");
  return result;
}

/** What a successful create answers. */
export class CreatedInvoice {
  invoiceId: string = "";
  invoiceNumber: string = "";
  /** Such as `draft`. */
  status: string = "";
  /** In the currency's smallest unit, as the other amounts. */
  subtotal: f64 = 0;
  tax: f64 = 0;
  total: f64 = 0;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("invoiceId", Value.text(this.invoiceId));
    result.set("invoiceNumber", Value.text(this.invoiceNumber));
    result.set("status", Value.text(this.status));
    result.set("subtotal", Value.float(this.subtotal));
    result.set("tax", Value.float(this.tax));
    result.set("total", Value.float(this.total));
    return result;
  }
}

/** The CreatedInvoice that `value` is. */
export function decodeCreatedInvoice(value: Value): CreatedInvoice {
  const result = new CreatedInvoice();
  result.invoiceId = textOr(value, "invoiceId");
  result.invoiceNumber = textOr(value, "invoiceNumber");
  result.status = textOr(value, "status");
  result.subtotal = floatOr(value, "subtotal");
  result.tax = floatOr(value, "tax");
  result.total = floatOr(value, "total");
  return result;
}

/** One page of stored values. */
export class EntryList {
  /** In the order of their keys. */
  entries: Array<StorageEntry> = new Array<StorageEntry>();
  /** Absent at the end. */
  nextCursor: string | null = null;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("entries", listValue<StorageEntry>(this.entries, (item: StorageEntry) => item.toValue()));
    result.setText("nextCursor", this.nextCursor);
    return result;
  }
}

/** The EntryList that `value` is. */
export function decodeEntryList(value: Value): EntryList {
  const result = new EntryList();
  const entries = present(value, "entries");
  if (entries !== null) result.entries = listOr<StorageEntry>(entries, decodeStorageEntry);
  result.nextCursor = value.getText("nextCursor");
  return result;
}

/** One request to another server. */
export class FetchInput {
  /** In visible ASCII; those of the connection and the framing are the host's. */
  headers: Array<HttpHeader> | null = null;
  /** Nil or absent is no body. */
  body: Uint8Array | null = null;
  /** How many redirects are followed; without it, one is the answer. */
  redirects: Value | null = null;

  constructor(
    /** Such as `GET`. */
    public method: string,
    /** Absolute, http or https. */
    public url: string,
  ) {}

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("method", Value.text(this.method));
    result.set("url", Value.text(this.url));
    const headers = this.headers;
    if (headers !== null) result.set("headers", listValue<HttpHeader>(headers, headerValue));
    const body = this.body;
    if (body !== null) result.set("body", Value.binary(body));
    result.setValue("redirects", this.redirects);
    return result;
  }
}

/** The FetchInput that `value` is. */
export function decodeFetchInput(value: Value): FetchInput {
  const result = new FetchInput("", "");
  result.method = textOr(value, "method");
  result.url = textOr(value, "url");
  const headers = present(value, "headers");
  if (headers !== null) result.headers = listOr<HttpHeader>(headers, decodeHeader);
  const body = present(value, "body");
  if (body !== null) result.body = body.bytes;
  result.redirects = present(value, "redirects");
  return result;
}

/** The answer of the other server, of any status. */
export class FetchedResponse {
  status: i64 = 0;
  /** In the order of the answer, names in small letters. */
  headers: Array<HttpHeader> = new Array<HttpHeader>();
  /** Unpacked, unless the request named an `accept-encoding`. */
  body: Uint8Array = new Uint8Array(0);

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("status", Value.int(this.status));
    result.set("headers", listValue<HttpHeader>(this.headers, headerValue));
    result.set("body", Value.binary(this.body));
    return result;
  }
}

/** The FetchedResponse that `value` is. */
export function decodeFetchedResponse(value: Value): FetchedResponse {
  const result = new FetchedResponse();
  result.status = value.getInt("status");
  const headers = present(value, "headers");
  if (headers !== null) result.headers = listOr<HttpHeader>(headers, decodeHeader);
  result.body = bytesOr(value, "body");
  return result;
}

/** One line of an invoice. */
export class ManualInvoiceItemInput {
  /** False by default. */
  isDiscount: Value | null = null;
  /** `percentage` or `fixed`; of discounts alone. */
  discountType: string | null = null;
  /** Of discounts alone. */
  appliesToItemId: string | null = null;
  /** Of discounts alone, and not with `appliesToItemId`. */
  appliesToServiceId: string | null = null;

  constructor(
    /** A UUID. */
    public serviceId: string,
    /** More than 0. */
    public quantity: f64,
    /** Up to 500 characters. */
    public description: string,
    /** 0 or more, in the currency's smallest unit; of a discount, up to 100 for percentages. */
    public rate: f64,
  ) {}

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("serviceId", Value.text(this.serviceId));
    result.set("quantity", Value.float(this.quantity));
    result.set("description", Value.text(this.description));
    result.set("rate", Value.float(this.rate));
    result.setValue("isDiscount", this.isDiscount);
    result.setText("discountType", this.discountType);
    result.setText("appliesToItemId", this.appliesToItemId);
    result.setText("appliesToServiceId", this.appliesToServiceId);
    return result;
  }
}

/** The ManualInvoiceItemInput that `value` is. */
export function decodeManualInvoiceItemInput(value: Value): ManualInvoiceItemInput {
  const result = new ManualInvoiceItemInput("", 0, "", 0);
  result.serviceId = textOr(value, "serviceId");
  result.quantity = floatOr(value, "quantity");
  result.description = textOr(value, "description");
  result.rate = floatOr(value, "rate");
  result.isDiscount = present(value, "isDiscount");
  result.discountType = value.getText("discountType");
  result.appliesToItemId = value.getText("appliesToItemId");
  result.appliesToServiceId = value.getText("appliesToServiceId");
  return result;
}

/** One call of a route. */
export class RouteCall {
  /** JSON to POST; nil or absent is a GET. */
  payload: Uint8Array | null = null;

  constructor(
    /** Below the extension's own routes, or `/api/...`; it may have a query. */
    public route: string,
  ) {}

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("route", Value.text(this.route));
    const payload = this.payload;
    if (payload !== null) result.set("payload", Value.binary(payload));
    return result;
  }
}

/** The RouteCall that `value` is. */
export function decodeRouteCall(value: Value): RouteCall {
  const result = new RouteCall("");
  result.route = textOr(value, "route");
  const payload = present(value, "payload");
  if (payload !== null) result.payload = payload.bytes;
  return result;
}

/** One service or product that the tenant sells. */
export class ServiceSummary {
  serviceId: string = "";
  serviceName: string = "";
  /** `service` or `product`. */
  itemKind: string = "";
  /** `fixed`, `hourly` or `usage`. */
  billingMethod: string = "";
  serviceTypeId: string | null = null;
  serviceTypeName: string | null = null;
  /** In the currency's smallest unit. */
  defaultRate: f64 = 0;
  unitOfMeasure: string = "";
  isActive: bool = false;
  sku: string | null = null;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("serviceId", Value.text(this.serviceId));
    result.set("serviceName", Value.text(this.serviceName));
    result.set("itemKind", Value.text(this.itemKind));
    result.set("billingMethod", Value.text(this.billingMethod));
    result.setText("serviceTypeId", this.serviceTypeId);
    result.setText("serviceTypeName", this.serviceTypeName);
    result.set("defaultRate", Value.float(this.defaultRate));
    result.set("unitOfMeasure", Value.text(this.unitOfMeasure));
    result.set("isActive", Value.bool(this.isActive));
    result.setText("sku", this.sku);
    return result;
  }
}

/** The ServiceSummary that `value` is. */
export function decodeServiceSummary(value: Value): ServiceSummary {
  const result = new ServiceSummary();
  result.serviceId = textOr(value, "serviceId");
  result.serviceName = textOr(value, "serviceName");
  result.itemKind = textOr(value, "itemKind");
  result.billingMethod = textOr(value, "billingMethod");
  result.serviceTypeId = value.getText("serviceTypeId");
  result.serviceTypeName = value.getText("serviceTypeName");
  result.defaultRate = floatOr(value, "defaultRate");
  result.unitOfMeasure = textOr(value, "unitOfMeasure");
  result.isActive = value.getBool("isActive");
  result.sku = value.getText("sku");
  return result;
}

/** Which services to list. */
export class ServicesListInput {
  /** A part of the name. */
  search: string | null = null;
  /** `service` or `product`; both by default. */
  itemKind: string | null = null;
  /** Both by default. */
  isActive: Value | null = null;
  /** `fixed`, `hourly` or `usage`; all by default. */
  billingMethod: string | null = null;
  /** 1 by default. */
  page: Value | null = null;
  /** 25 by default. */
  pageSize: Value | null = null;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.setText("search", this.search);
    result.setText("itemKind", this.itemKind);
    result.setValue("isActive", this.isActive);
    result.setText("billingMethod", this.billingMethod);
    result.setValue("page", this.page);
    result.setValue("pageSize", this.pageSize);
    return result;
  }
}

/** The ServicesListInput that `value` is. */
export function decodeServicesListInput(value: Value): ServicesListInput {
  const result = new ServicesListInput();
  result.search = value.getText("search");
  result.itemKind = value.getText("itemKind");
  result.isActive = present(value, "isActive");
  result.billingMethod = value.getText("billingMethod");
  result.page = present(value, "page");
  result.pageSize = present(value, "pageSize");
  return result;
}

/** One page of services. */
export class ServicesListResult {
  items: Array<ServiceSummary> = new Array<ServiceSummary>();
  /** How many there are on all pages. */
  totalCount: i64 = 0;
  page: i64 = 0;
  pageSize: i64 = 0;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("items", listValue<ServiceSummary>(this.items, (item: ServiceSummary) => item.toValue()));
    result.set("totalCount", Value.int(this.totalCount));
    result.set("page", Value.int(this.page));
    result.set("pageSize", Value.int(this.pageSize));
    return result;
  }
}

/** The ServicesListResult that `value` is. */
export function decodeServicesListResult(value: Value): ServicesListResult {
  const result = new ServicesListResult();
  const items = present(value, "items");
  if (items !== null) result.items = listOr<ServiceSummary>(items, decodeServiceSummary);
  result.totalCount = value.getInt("totalCount");
  result.page = value.getInt("page");
  result.pageSize = value.getInt("pageSize");
  return result;
}

/** One stored value. */
export class StorageEntry {
  /** Groups keys; the server makes it when it is first written to. */
  namespace: string = "";
  /** Without `/`. */
  key: string = "";
  /** As it was stored; the JSON text of a value that another program stored as JSON. */
  value: Uint8Array = new Uint8Array(0);
  /** Grows with each write of the value. */
  revision: i64 = 0;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("namespace", Value.text(this.namespace));
    result.set("key", Value.text(this.key));
    result.set("value", Value.binary(this.value));
    result.set("revision", Value.int(this.revision));
    return result;
  }
}

/** The StorageEntry that `value` is. */
export function decodeStorageEntry(value: Value): StorageEntry {
  const result = new StorageEntry();
  result.namespace = textOr(value, "namespace");
  result.key = textOr(value, "key");
  result.value = bytesOr(value, "value");
  result.revision = value.getInt("revision");
  return result;
}

/** Which values to list. */
export class StoragePage {
  /** The `nextCursor` of the page before, which is its last key. */
  cursor: string | null = null;
  /** How many at most, 25 by default. */
  limit: Value | null = null;

  constructor(
    /** As in a write. */
    public namespace: string,
  ) {}

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("namespace", Value.text(this.namespace));
    result.setText("cursor", this.cursor);
    result.setValue("limit", this.limit);
    return result;
  }
}

/** The StoragePage that `value` is. */
export function decodeStoragePage(value: Value): StoragePage {
  const result = new StoragePage("");
  result.namespace = textOr(value, "namespace");
  result.cursor = value.getText("cursor");
  result.limit = present(value, "limit");
  return result;
}

/** A value to store. */
export class StorageWrite {
  /** That of the value to replace: another one is a `conflict`. */
  revision: Value | null = null;

  constructor(
    /** Groups keys; the server makes it when it is first written to. */
    public namespace: string,
    /** Without `/`. */
    public key: string,
    /** Up to 65,536 bytes; Alga's server takes 49,149. */
    public value: Uint8Array,
  ) {}

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("value", Value.binary(this.value));
    result.setValue("revision", this.revision);
    result.set("namespace", Value.text(this.namespace));
    result.set("key", Value.text(this.key));
    return result;
  }
}

/** The StorageWrite that `value` is. */
export function decodeStorageWrite(value: Value): StorageWrite {
  const result = new StorageWrite("", "", new Uint8Array(0));
  result.value = bytesOr(value, "value");
  result.revision = present(value, "revision");
  result.namespace = textOr(value, "namespace");
  result.key = textOr(value, "key");
  return result;
}

/** What a write answers. */
export class StoredRevision {
  /** The stored value's. */
  revision: i64 = 0;

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("revision", Value.int(this.revision));
    return result;
  }
}

/** The StoredRevision that `value` is. */
export function decodeStoredRevision(value: Value): StoredRevision {
  const result = new StoredRevision();
  result.revision = value.getInt("revision");
  return result;
}

/** The person behind the request, and whose user it is. */
export class TenantUser {
  userId: string = "";
  userEmail: string = "";
  userName: string = "";
  /** Such as `internal` or `client`. */
  userType: string = "";
  /** Empty without a client. */
  clientName: string = "";
  clientId: string | null = null;
  /** Further facts, by name. */
  additionalFields: Value = Value.map();
  /** Of the execution's context. */
  tenantId: string = "";

  /** As a map; members without a value are absent. */
  toValue(): Value {
    const result = Value.map();
    result.set("userId", Value.text(this.userId));
    result.set("userEmail", Value.text(this.userEmail));
    result.set("userName", Value.text(this.userName));
    result.set("userType", Value.text(this.userType));
    result.set("clientName", Value.text(this.clientName));
    result.setText("clientId", this.clientId);
    result.set("additionalFields", this.additionalFields);
    result.set("tenantId", Value.text(this.tenantId));
    return result;
  }
}

/** The TenantUser that `value` is. */
export function decodeTenantUser(value: Value): TenantUser {
  const result = new TenantUser();
  result.userId = textOr(value, "userId");
  result.userEmail = textOr(value, "userEmail");
  result.userName = textOr(value, "userName");
  result.userType = textOr(value, "userType");
  result.clientName = textOr(value, "clientName");
  result.clientId = value.getText("clientId");
  const additionalFields = present(value, "additionalFields");
  if (additionalFields !== null) result.additionalFields = additionalFields;
  result.tenantId = textOr(value, "tenantId");
  return result;
}
