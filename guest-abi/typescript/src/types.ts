// The values that an extension and its host exchange.

export interface ContextData {
  requestId?: string;
  tenantId: string;
  extensionId: string;
  installId?: string;
  versionId?: string;
}

export interface HttpHeader {
  name: string;
  value: string;
}

export interface HttpRequest {
  method: string;
  url: string;
  headers: HttpHeader[];
  body?: Uint8Array;
}

export interface HttpResponse {
  status: number;
  headers: HttpHeader[];
  body?: Uint8Array;
}

export interface ExecuteRequest {
  context: ContextData;
  http: HttpRequest;
}

/** `status` is from 200 to 599. */
export interface ExecuteResponse {
  status: number;
  headers: HttpHeader[];
  body?: Uint8Array;
}

/** What started an execution that no caller asked for. */
export interface Trigger {
  /** `schedule`, or what else it was. */
  kind: string;
  scheduleId?: string;
  /** When the schedule was due, RFC 3339 in UTC. */
  nominalTime?: string;
  /** 1 for the first attempt. */
  attempt?: number;
}

/** Why the host refused a call: `code` is the case of the interface's error type, such as `denied`. */
export class HostError extends Error {
  override readonly name = "HostError";

  constructor(
    readonly code: string,
    readonly operation: string,
  ) {
    super(`${operation} was refused: ${code}`);
  }
}

export interface ScheduleInfo {
  id: string;
  endpointPath: string;
  endpointMethod: string;
  name?: string;
  cron: string;
  timezone: string;
  enabled: boolean;
  payload?: unknown;
  lastRunAt?: string;
  lastRunStatus?: string;
  lastError?: string;
  createdAt?: string;
}

export interface EndpointInfo {
  id: string;
  method: string;
  path: string;
  handler: string;
  schedulable: boolean;
}

export interface CreateScheduleInput {
  /** `/path` of the manifest, or `METHOD /path`. */
  endpoint: string;
  cron: string;
  timezone?: string;
  enabled?: boolean;
  name?: string;
  /** Any value that JSON has a form for. */
  payload?: unknown;
}

export interface CreateScheduleResult {
  success: boolean;
  scheduleId?: string;
  error?: string;
  fieldErrors?: Record<string, string>;
}

/** An absent member is left as it is; a payload of `null` is cleared. */
export interface UpdateScheduleInput {
  endpoint?: string;
  cron?: string;
  timezone?: string;
  enabled?: boolean;
  name?: string;
  payload?: unknown;
}

export interface UpdateScheduleResult {
  success: boolean;
  error?: string;
  fieldErrors?: Record<string, string>;
}

export interface DeleteScheduleResult {
  success: boolean;
  error?: string;
}

export interface StorageEntry {
  namespace: string;
  key: string;
  value: Uint8Array;
  revision?: number;
}

export interface UserData {
  tenantId: string;
  clientName: string;
  userId: string;
  userEmail: string;
  userName: string;
  userType: string;
  clientId?: string;
  additionalFields: Record<string, string>;
}

export interface ManualInvoiceItemInput {
  serviceId: string;
  quantity: number;
  description: string;
  rate: number;
  isDiscount?: boolean;
  discountType?: "percentage" | "fixed";
  appliesToItemId?: string;
  appliesToServiceId?: string;
}

export interface CreateManualInvoiceInput {
  clientId: string;
  items: ManualInvoiceItemInput[];
  invoiceDate?: string;
  dueDate?: string;
  poNumber?: string;
}

export interface CreateManualInvoiceResult {
  success: boolean;
  invoiceId?: string;
  invoiceNumber?: string;
  status?: string;
  subtotal?: number;
  tax?: number;
  total?: number;
  error?: string;
  fieldErrors?: Record<string, string>;
}

export interface ClientSummary {
  clientId: string;
  clientName: string;
  clientType?: string;
  isInactive: boolean;
  defaultCurrencyCode?: string;
  accountManagerId?: string;
  accountManagerName?: string;
  billingEmail?: string;
}

export interface ClientsListInput {
  search?: string;
  includeInactive?: boolean;
  page?: number;
  pageSize?: number;
}

export interface ServiceSummary {
  serviceId: string;
  serviceName: string;
  itemKind: "service" | "product";
  billingMethod: "fixed" | "hourly" | "usage";
  serviceTypeId?: string;
  serviceTypeName?: string;
  defaultRate: number;
  unitOfMeasure: string;
  isActive: boolean;
  sku?: string;
}

export interface ServicesListInput {
  search?: string;
  itemKind?: "service" | "product";
  isActive?: boolean;
  billingMethod?: "fixed" | "hourly" | "usage";
  page?: number;
  pageSize?: number;
}

export interface Page<Item> {
  items: Item[];
  totalCount: number;
  page: number;
  pageSize: number;
}

/** `create`, `update` and `delete` never reject; the others reject with `HostError`. Needs `cap:scheduler.manage`. */
export interface SchedulerHost {
  list(): Promise<ScheduleInfo[]>;
  get(scheduleId: string): Promise<ScheduleInfo | null>;
  create(input: CreateScheduleInput): Promise<CreateScheduleResult>;
  update(scheduleId: string, input: UpdateScheduleInput): Promise<UpdateScheduleResult>;
  delete(scheduleId: string): Promise<DeleteScheduleResult>;
  getEndpoints(): Promise<EndpointInfo[]>;
}

export interface LoggingHost {
  info(message: string): Promise<void>;
  warn(message: string): Promise<void>;
  error(message: string): Promise<void>;
}

export interface SecretsHost {
  get(key: string): Promise<string>;
  list(): Promise<string[]>;
}

export interface HttpHost {
  fetch(request: HttpRequest): Promise<HttpResponse>;
}

export interface StorageHost {
  get(namespace: string, key: string): Promise<StorageEntry>;
  put(entry: StorageEntry): Promise<StorageEntry>;
  delete(namespace: string, key: string): Promise<void>;
  list(namespace: string, cursor?: string): Promise<StorageEntry[]>;
}

export interface UiProxyHost {
  callRoute(route: string, payload?: Uint8Array): Promise<Uint8Array>;
}

export interface UserHost {
  getUser(): Promise<UserData>;
}

/** `createManualInvoice` never rejects. */
export interface InvoicingHost {
  createManualInvoice(input: CreateManualInvoiceInput): Promise<CreateManualInvoiceResult>;
}

export interface ClientsHost {
  list(input?: ClientsListInput): Promise<Page<ClientSummary>>;
  get(clientId: string): Promise<ClientSummary | null>;
}

export interface ServicesHost {
  list(input?: ServicesListInput): Promise<Page<ServiceSummary>>;
  get(serviceId: string): Promise<ServiceSummary | null>;
}

/** Everything that an extension may ask its host for, each behind a capability that an admin grants. */
export interface HostBindings {
  context: ContextData;
  secrets: SecretsHost;
  http: HttpHost;
  storage: StorageHost;
  logging: LoggingHost;
  uiProxy: UiProxyHost;
  scheduler: SchedulerHost;
  invoicing: InvoicingHost;
  user: UserHost;
  clients: ClientsHost;
  services: ServicesHost;
}

export type Handler = (
  request: ExecuteRequest,
  host: HostBindings,
) => ExecuteResponse | Promise<ExecuteResponse>;
