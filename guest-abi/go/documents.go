// Code generated from guest-abi/schema by `make docs`. DO NOT EDIT.

package alga

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
