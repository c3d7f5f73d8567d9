// Code generated from guest-abi/schema by `make docs`. DO NOT EDIT.

package alga

import "alga/internal/abi"

// Host is what the host offers.
type Host struct {
	Clients   ClientsHost
	Context   ContextHost
	HTTP      HTTPHost
	Invoicing InvoicingHost
	Scheduler SchedulerHost
	Secrets   SecretsHost
	Services  ServicesHost
	Storage   StorageHost
	UIProxy   UIProxyHost
	User      UserHost
	Logging   LoggingHost
}

// ClientsHost: every call needs cap:client.read.
type ClientsHost struct{}

// List: The tenant's clients, one page at a time.
func (ClientsHost) List(input ClientsListInput) (ClientsListResult, error) {
	return call[ClientsListResult](abi.ClientsList, input)
}

// Get: One client, if the tenant has one with that id.
func (ClientsHost) Get(clientID string) (*ClientSummary, error) {
	ok, err := call[struct {
		Client *ClientSummary `json:"client,omitzero"`
	}](abi.ClientsGet, struct {
		ClientID string `json:"clientId"`
	}{clientID})
	return ok.Client, err
}

// ContextHost: every call needs cap:context.read.
type ContextHost struct{}

// Get: The execution's context: tenant, extension, install, configuration, and what triggered it.
func (ContextHost) Get() (ContextInfo, error) {
	ok, err := call[struct {
		Context ContextInfo `json:"context"`
	}](abi.ContextGet, struct{}{})
	return ok.Context, err
}

// HTTPHost: every call needs cap:http.fetch.
type HTTPHost struct{}

// Fetch: Send one request to another server that the operator allows, and give its answer.
func (HTTPHost) Fetch(input FetchInput) (FetchedResponse, error) {
	return call[FetchedResponse](abi.HTTPFetch, input)
}

// InvoicingHost: every call needs cap:invoice.manual.create.
type InvoicingHost struct{}

// CreateManualInvoice: Create an invoice for a client of the tenant.
func (InvoicingHost) CreateManualInvoice(input CreateManualInvoiceInput) (CreatedInvoice, error) {
	return call[CreatedInvoice](abi.InvoicingCreateManualInvoice, input)
}

// SchedulerHost: every call needs cap:scheduler.manage.
type SchedulerHost struct{}

// List: The install's schedules, oldest first.
func (SchedulerHost) List() ([]ScheduleInfo, error) {
	ok, err := call[struct {
		Schedules []ScheduleInfo `json:"schedules"`
	}](abi.SchedulerList, struct{}{})
	return ok.Schedules, err
}

// Get: One schedule, if this install has one with that id.
func (SchedulerHost) Get(scheduleID string) (*ScheduleInfo, error) {
	ok, err := call[struct {
		Schedule *ScheduleInfo `json:"schedule,omitzero"`
	}](abi.SchedulerGet, struct {
		ScheduleID string `json:"scheduleId"`
	}{scheduleID})
	return ok.Schedule, err
}

// Create: Create a schedule that calls one of the extension's own endpoints.
func (SchedulerHost) Create(input CreateScheduleInput) ScheduleResult {
	ok, err := call[struct {
		ScheduleID string `json:"scheduleId"`
	}](abi.SchedulerCreate, input)
	return changed(ok.ScheduleID, err)
}

// Update: Change a schedule: an absent member is left, nil clears name, payload and window.
func (SchedulerHost) Update(input UpdateScheduleInput) ScheduleResult {
	_, err := call[struct{}](abi.SchedulerUpdate, input)
	return changed(input.ScheduleID, err)
}

// Delete: Delete a schedule; it does not run again.
func (SchedulerHost) Delete(scheduleID string) ScheduleResult {
	_, err := call[struct{}](abi.SchedulerDelete, struct {
		ScheduleID string `json:"scheduleId"`
	}{scheduleID})
	return changed(scheduleID, err)
}

// GetEndpoints: The endpoints of the installed version, ordered by path, with which of them can be scheduled.
func (SchedulerHost) GetEndpoints() ([]EndpointInfo, error) {
	ok, err := call[struct {
		Endpoints []EndpointInfo `json:"endpoints"`
	}](abi.SchedulerGetEndpoints, struct{}{})
	return ok.Endpoints, err
}

// SecretsHost: every call needs cap:secrets.get.
type SecretsHost struct{}

// Get: One of the install's secrets.
func (SecretsHost) Get(key string) (string, error) {
	ok, err := call[struct {
		Value string `json:"value"`
	}](abi.SecretsGet, struct {
		Key string `json:"key"`
	}{key})
	return ok.Value, err
}

// ListKeys: The names of the install's secrets.
func (SecretsHost) ListKeys() ([]string, error) {
	ok, err := call[struct {
		Keys []string `json:"keys"`
	}](abi.SecretsListKeys, struct{}{})
	return ok.Keys, err
}

// ServicesHost: every call needs cap:service.read.
type ServicesHost struct{}

// List: The services and products that the tenant sells, one page at a time.
func (ServicesHost) List(input ServicesListInput) (ServicesListResult, error) {
	return call[ServicesListResult](abi.ServicesList, input)
}

// Get: One service or product, if the tenant has one with that id.
func (ServicesHost) Get(serviceID string) (*ServiceSummary, error) {
	ok, err := call[struct {
		Service *ServiceSummary `json:"service,omitzero"`
	}](abi.ServicesGet, struct {
		ServiceID string `json:"serviceId"`
	}{serviceID})
	return ok.Service, err
}

// StorageHost: every call needs cap:storage.kv.
type StorageHost struct{}

// Get: One stored value, if there is one under that key.
func (StorageHost) Get(namespace string, key string) (*StorageEntry, error) {
	ok, err := call[struct {
		Entry *StorageEntry `json:"entry,omitzero"`
	}](abi.StorageGet, struct {
		Namespace string `json:"namespace"`
		Key       string `json:"key"`
	}{namespace, key})
	return ok.Entry, err
}

// Put: Store a value; with a revision, only in place of the value that has it.
func (StorageHost) Put(input StorageWrite) (int, error) {
	ok, err := call[struct {
		Revision int `json:"revision"`
	}](abi.StoragePut, input)
	return ok.Revision, err
}

// Delete: Delete a stored value.
func (StorageHost) Delete(namespace string, key string) error {
	_, err := call[struct{}](abi.StorageDelete, struct {
		Namespace string `json:"namespace"`
		Key       string `json:"key"`
	}{namespace, key})
	return err
}

// List: The stored values of a namespace by key, one page at a time.
func (StorageHost) List(input StoragePage) (EntryList, error) {
	return call[EntryList](abi.StorageList, input)
}

// UIProxyHost: every call needs cap:ui.proxy.
type UIProxyHost struct{}

// CallRoute: Call a route of the host's user interface, and give the body of its answer.
func (UIProxyHost) CallRoute(input RouteCall) ([]byte, error) {
	ok, err := call[struct {
		Body []byte `json:"body"`
	}](abi.UIProxyCallRoute, input)
	return ok.Body, err
}

// UserHost: every call needs cap:user.read.
type UserHost struct{}

// Get: The person behind the request, if there is one; a schedule's run has none.
func (UserHost) Get() (*TenantUser, error) {
	ok, err := call[struct {
		User *TenantUser `json:"user,omitzero"`
	}](abi.UserGet, struct{}{})
	return ok.User, err
}
