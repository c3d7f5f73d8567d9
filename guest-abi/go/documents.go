// Code generated from guest-abi/schema by `make docs`. DO NOT EDIT.

package alga

// ClientSummary: One client of the tenant.
type ClientSummary struct {
	ClientID   string `json:"clientId"`
	ClientName string `json:"clientName"`
	// Such as `company` or `individual`.
	ClientType string `json:"clientType,omitzero"`
	IsInactive bool   `json:"isInactive"`
	// Such as `EUR`.
	DefaultCurrencyCode string `json:"defaultCurrencyCode,omitzero"`
	AccountManagerID    string `json:"accountManagerId,omitzero"`
	AccountManagerName  string `json:"accountManagerName,omitzero"`
	BillingEmail        string `json:"billingEmail,omitzero"`
}

// ClientsListInput: Which clients to list.
type ClientsListInput struct {
	// A part of the name.
	Search string `json:"search,omitzero"`
	// False by default.
	IncludeInactive *bool `json:"includeInactive,omitzero"`
	// 1 by default.
	Page *int `json:"page,omitzero"`
	// 25 by default.
	PageSize *int `json:"pageSize,omitzero"`
}

// ClientsListResult: One page of clients.
type ClientsListResult struct {
	Items []ClientSummary `json:"items"`
	// How many there are on all pages.
	TotalCount int `json:"totalCount"`
	Page       int `json:"page"`
	PageSize   int `json:"pageSize"`
}

// ContextInfo: Whose execution it is, and why it runs. A member that has no value is absent.
type ContextInfo struct {
	// Of this execution, visible ASCII as all ids.
	RequestID string `json:"requestId,omitzero"`
	// Letters, digits, and `. _ -` after the first.
	TenantID    string `json:"tenantId"`
	ExtensionID string `json:"extensionId"`
	// Absent where the extension is not installed.
	InstallID string `json:"installId,omitzero"`
	// The installed version.
	VersionID string `json:"versionId,omitzero"`
	// The install's configuration.
	Config map[string]string `json:"config"`
	// `schedule` when one fired, `run_now` where an admin fired it.
	Trigger string `json:"trigger,omitzero"`
	// Which schedule.
	ScheduleID string `json:"scheduleId,omitzero"`
	// When it was due, RFC 3339 in UTC.
	NominalTime string `json:"nominalTime,omitzero"`
	// The schedule's, if it has one.
	ScheduleName string `json:"scheduleName,omitzero"`
	// The zone whose clock the schedule follows, a name of the IANA database.
	ScheduleTimezone string `json:"scheduleTimezone,omitzero"`
	// Counts the attempts at the nominal time.
	Attempt *int `json:"attempt,omitzero"`
	// When this run began, RFC 3339 in UTC.
	StartedAt string `json:"startedAt,omitzero"`
}

// CreateManualInvoiceInput: An invoice to create.
type CreateManualInvoiceInput struct {
	// A UUID.
	ClientID string `json:"clientId"`
	// One at least.
	Items []ManualInvoiceItemInput `json:"items"`
	// Such as `2026-03-29`.
	InvoiceDate string `json:"invoiceDate,omitzero"`
	// Likewise.
	DueDate string `json:"dueDate,omitzero"`
	// Up to 128 characters.
	PoNumber string `json:"poNumber,omitzero"`
}

// CreateScheduleInput: A schedule to create. Absent members take defaults.
type CreateScheduleInput struct {
	// `/path` or `METHOD /path` of an endpoint in the extension's own manifest.
	Endpoint string `json:"endpoint"`
	// Five fields.
	Cron string `json:"cron"`
	// A name of the IANA database, UTC by default.
	Timezone string `json:"timezone,omitzero"`
	// Whether it fires, true by default.
	Enabled *bool `json:"enabled,omitzero"`
	// Unique in the install.
	Name string `json:"name,omitzero"`
	// A map or an array, which the handler gets as JSON.
	Payload any `json:"payload,omitzero"`
	// Creates of an install with the same key have the first one's result, for a day.
	IdempotencyKey string `json:"idempotencyKey,omitzero"`
	// For occurrences that were not fired in time: `skip`, `latest` (the default) or `all`.
	MissedRuns string `json:"missedRuns,omitzero"`
	// How late a missed occurrence may still run; without it, any time.
	MissedWindowSeconds *int `json:"missedWindowSeconds,omitzero"`
	// How often a nominal time is tried in all, 1 by default.
	MaxAttempts *int `json:"maxAttempts,omitzero"`
	// From the end of the first attempt to the second, 60 by default.
	RetryDelaySeconds *int `json:"retryDelaySeconds,omitzero"`
	// By which the wait grows after that, 2 by default.
	RetryFactor *int `json:"retryFactor,omitzero"`
}

// CreatedInvoice: What a successful create answers.
type CreatedInvoice struct {
	InvoiceID     string `json:"invoiceId"`
	InvoiceNumber string `json:"invoiceNumber"`
	// Such as `draft`.
	Status string `json:"status"`
	// In the currency's smallest unit, as the other amounts.
	Subtotal float64 `json:"subtotal"`
	Tax      float64 `json:"tax"`
	Total    float64 `json:"total"`
}

// EndpointInfo: One endpoint of the installed version.
type EndpointInfo struct {
	// Of this version's endpoint.
	ID string `json:"id"`
	// As in the manifest.
	Method string `json:"method"`
	// As in the manifest.
	Path string `json:"path"`
	// As in the manifest.
	Handler string `json:"handler"`
	// GET or POST, and no path parameters.
	Schedulable bool `json:"schedulable"`
}

// EntryList: One page of stored values.
type EntryList struct {
	// In the order of their keys.
	Entries []StorageEntry `json:"entries"`
	// Absent at the end.
	NextCursor string `json:"nextCursor,omitzero"`
}

// FetchInput: One request to another server.
type FetchInput struct {
	// Such as `GET`.
	Method string `json:"method"`
	// Absolute, http or https.
	URL string `json:"url"`
	// In visible ASCII; those of the connection and the framing are the host's.
	Headers []Header `json:"headers,omitzero"`
	// Nil or absent is no body.
	Body []byte `json:"body,omitzero"`
	// How many redirects are followed; without it, one is the answer.
	Redirects *int `json:"redirects,omitzero"`
}

// FetchedResponse: The answer of the other server, of any status.
type FetchedResponse struct {
	Status int `json:"status"`
	// In the order of the answer, names in small letters.
	Headers []Header `json:"headers"`
	// Unpacked, unless the request named an `accept-encoding`.
	Body []byte `json:"body"`
}

// Header: One header of a request. Names are compared without case; order and repetition are kept.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// HTTPInfo: The HTTP request to answer.
type HTTPInfo struct {
	// In capitals, as the caller's.
	Method string `json:"method"`
	// The path, then `?` and a query.
	URL string `json:"url"`
	// Those that the host forwards.
	Headers []Header `json:"headers"`
	// Nil is no body, an empty one is a body.
	Body []byte `json:"body"`
}

// ManualInvoiceItemInput: One line of an invoice.
type ManualInvoiceItemInput struct {
	// A UUID.
	ServiceID string `json:"serviceId"`
	// More than 0.
	Quantity float64 `json:"quantity"`
	// Up to 500 characters.
	Description string `json:"description"`
	// 0 or more, in the currency's smallest unit; of a discount, up to 100 for percentages.
	Rate float64 `json:"rate"`
	// False by default.
	IsDiscount *bool `json:"isDiscount,omitzero"`
	// `percentage` or `fixed`; of discounts alone.
	DiscountType string `json:"discountType,omitzero"`
	// Of discounts alone.
	AppliesToItemID string `json:"appliesToItemId,omitzero"`
	// Of discounts alone, and not with `appliesToItemId`.
	AppliesToServiceID string `json:"appliesToServiceId,omitzero"`
}

// Request: What a handler is asked.
type Request struct {
	Context ContextInfo `json:"context"`
	HTTP    HTTPInfo    `json:"http"`
	// Absent where no person asks.
	User *UserInfo `json:"user,omitzero"`
}

// Response: What a guest gives to `respond`.
type Response struct {
	// Of HTTP, never an interim one.
	Status  int      `json:"status"`
	Headers []Header `json:"headers,omitzero"`
	// Nil or absent is no body.
	Body []byte `json:"body,omitzero"`
}

// RouteCall: One call of a route.
type RouteCall struct {
	// Below the extension's own routes, or `/api/...`; it may have a query.
	Route string `json:"route"`
	// JSON to POST; nil or absent is a GET.
	Payload []byte `json:"payload,omitzero"`
}

// ScheduleInfo: One schedule of the calling install.
type ScheduleInfo struct {
	ID string `json:"id"`
	// As in the manifest.
	EndpointPath string `json:"endpointPath"`
	// GET or POST.
	EndpointMethod string `json:"endpointMethod"`
	// Unique in the install.
	Name string `json:"name,omitzero"`
	// Five fields.
	Cron string `json:"cron"`
	// A name of the IANA database.
	Timezone string `json:"timezone"`
	// Whether it fires.
	Enabled bool `json:"enabled"`
	// A map or an array, which the handler gets as JSON.
	Payload any `json:"payload,omitzero"`
	// When its last run began, RFC 3339 in UTC.
	LastRunAt string `json:"lastRunAt,omitzero"`
	// `success` or `error`.
	LastRunStatus string `json:"lastRunStatus,omitzero"`
	// Why its last run failed, for people.
	LastError string `json:"lastError,omitzero"`
	// RFC 3339 in UTC.
	CreatedAt string `json:"createdAt,omitzero"`
}

// ServiceSummary: One service or product that the tenant sells.
type ServiceSummary struct {
	ServiceID   string `json:"serviceId"`
	ServiceName string `json:"serviceName"`
	// `service` or `product`.
	ItemKind string `json:"itemKind"`
	// `fixed`, `hourly` or `usage`.
	BillingMethod   string `json:"billingMethod"`
	ServiceTypeID   string `json:"serviceTypeId,omitzero"`
	ServiceTypeName string `json:"serviceTypeName,omitzero"`
	// In the currency's smallest unit.
	DefaultRate   float64 `json:"defaultRate"`
	UnitOfMeasure string  `json:"unitOfMeasure"`
	IsActive      bool    `json:"isActive"`
	SKU           string  `json:"sku,omitzero"`
}

// ServicesListInput: Which services to list.
type ServicesListInput struct {
	// A part of the name.
	Search string `json:"search,omitzero"`
	// `service` or `product`; both by default.
	ItemKind string `json:"itemKind,omitzero"`
	// Both by default.
	IsActive *bool `json:"isActive,omitzero"`
	// `fixed`, `hourly` or `usage`; all by default.
	BillingMethod string `json:"billingMethod,omitzero"`
	// 1 by default.
	Page *int `json:"page,omitzero"`
	// 25 by default.
	PageSize *int `json:"pageSize,omitzero"`
}

// ServicesListResult: One page of services.
type ServicesListResult struct {
	Items []ServiceSummary `json:"items"`
	// How many there are on all pages.
	TotalCount int `json:"totalCount"`
	Page       int `json:"page"`
	PageSize   int `json:"pageSize"`
}

// StorageEntry: One stored value.
type StorageEntry struct {
	// Groups keys; the server makes it when it is first written to.
	Namespace string `json:"namespace"`
	// Without `/`.
	Key string `json:"key"`
	// As it was stored; the JSON text of a value that another program stored as JSON.
	Value []byte `json:"value"`
	// Grows with each write of the value.
	Revision int `json:"revision"`
}

// StoragePage: Which values to list.
type StoragePage struct {
	// As in a write.
	Namespace string `json:"namespace"`
	// The `nextCursor` of the page before, which is its last key.
	Cursor string `json:"cursor,omitzero"`
	// How many at most, 25 by default.
	Limit *int `json:"limit,omitzero"`
}

// StorageWrite: A value to store.
type StorageWrite struct {
	// Up to 65,536 bytes; Alga's server takes 49,149.
	Value []byte `json:"value"`
	// That of the value to replace: another one is a `conflict`.
	Revision *int `json:"revision,omitzero"`
	// Groups keys; the server makes it when it is first written to.
	Namespace string `json:"namespace"`
	// Without `/`.
	Key string `json:"key"`
}

// TenantUser: The person behind the request, and whose user it is.
type TenantUser struct {
	UserID    string `json:"userId"`
	UserEmail string `json:"userEmail"`
	UserName  string `json:"userName"`
	// Such as `internal` or `client`.
	UserType string `json:"userType"`
	// Empty without a client.
	ClientName string `json:"clientName"`
	ClientID   string `json:"clientId,omitzero"`
	// Further facts, by name.
	AdditionalFields map[string]string `json:"additionalFields"`
	// Of the execution's context.
	TenantID string `json:"tenantId"`
}

// UpdateScheduleInput: Changes to a schedule. An absent member is left; nil clears `name`, `payload` and `missedWindowSeconds`.
type UpdateScheduleInput struct {
	// Which schedule.
	ScheduleID string `json:"scheduleId"`
	// `/path` or `METHOD /path` of an endpoint in the extension's own manifest.
	Endpoint string `json:"endpoint,omitzero"`
	// Five fields.
	Cron string `json:"cron,omitzero"`
	// A name of the IANA database.
	Timezone string `json:"timezone,omitzero"`
	// Whether it fires.
	Enabled *bool `json:"enabled,omitzero"`
	// Unique in the install.
	Name Change[string] `json:"name,omitzero"`
	// A map or an array, which the handler gets as JSON.
	Payload Change[any] `json:"payload,omitzero"`
	// For occurrences that were not fired in time: `skip`, `latest` (the default) or `all`.
	MissedRuns string `json:"missedRuns,omitzero"`
	// How late a missed occurrence may still run; without it, any time.
	MissedWindowSeconds Change[int] `json:"missedWindowSeconds,omitzero"`
	// How often a nominal time is tried in all, 1 by default.
	MaxAttempts *int `json:"maxAttempts,omitzero"`
	// From the end of the first attempt to the second, 60 by default.
	RetryDelaySeconds *int `json:"retryDelaySeconds,omitzero"`
	// By which the wait grows after that, 2 by default.
	RetryFactor *int `json:"retryFactor,omitzero"`
}

// UserInfo: The person behind the request.
type UserInfo struct {
	UserID    string `json:"userId"`
	UserEmail string `json:"userEmail"`
	UserName  string `json:"userName"`
	// Such as `internal` or `client`.
	UserType string `json:"userType"`
	// Empty without a client.
	ClientName string `json:"clientName"`
	ClientID   string `json:"clientId,omitzero"`
	// Further facts, by name.
	AdditionalFields map[string]string `json:"additionalFields"`
}
