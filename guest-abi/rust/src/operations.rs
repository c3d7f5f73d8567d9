//! Generated from guest-abi/schema by `make docs`.

use serde::{Deserialize, Serialize};

use crate::abi;
use crate::documents::*;
use crate::host::{LoggingHost, Nothing, call};
use crate::schedule::ScheduleResult;
use crate::{ContextData, HostError};

/// What the host offers.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HostBindings {
    pub clients: ClientsHost,
    pub context: ContextHost,
    pub http: HttpHost,
    pub invoicing: InvoicingHost,
    pub scheduler: SchedulerHost,
    pub secrets: SecretsHost,
    pub services: ServicesHost,
    pub storage: StorageHost,
    pub ui_proxy: UiProxyHost,
    pub user: UserHost,
    pub logging: LoggingHost,
}

/// Every call needs `cap:client.read`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ClientsHost;

impl ClientsHost {
    /// The tenant's clients, one page at a time.
    pub fn list(&self, input: &ClientsListInput) -> Result<ClientsListResult, HostError> {
        call::<ClientsListResult>(abi::clients_list, input)
    }

    /// One client, if the tenant has one with that id.
    pub fn get(&self, client_id: &str) -> Result<Option<ClientSummary>, HostError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            client_id: &'a str,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(skip_serializing_if = "Option::is_none")]
            client: Option<ClientSummary>,
        }
        call::<Reply>(abi::clients_get, &Request { client_id }).map(|reply| reply.client)
    }
}

/// Every call needs `cap:context.read`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ContextHost;

impl ContextHost {
    /// The execution's context: tenant, extension, install, configuration, and what triggered it.
    pub fn get(&self) -> Result<ContextData, HostError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            context: ContextData,
        }
        call::<Reply>(abi::context_get, &Nothing {}).map(|reply| reply.context)
    }
}

/// Every call needs `cap:http.fetch`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HttpHost;

impl HttpHost {
    /// Send one request to another server that the operator allows, and give its answer.
    pub fn fetch(&self, input: &FetchInput) -> Result<FetchedResponse, HostError> {
        call::<FetchedResponse>(abi::http_fetch, input)
    }
}

/// Every call needs `cap:invoice.manual.create`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct InvoicingHost;

impl InvoicingHost {
    /// Create an invoice for a client of the tenant.
    pub fn create_manual_invoice(&self, input: &CreateManualInvoiceInput) -> Result<CreatedInvoice, HostError> {
        call::<CreatedInvoice>(abi::invoicing_create_manual_invoice, input)
    }
}

/// Every call needs `cap:scheduler.manage`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SchedulerHost;

impl SchedulerHost {
    /// The install's schedules, oldest first.
    pub fn list(&self) -> Result<Vec<ScheduleInfo>, HostError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            schedules: Vec<ScheduleInfo>,
        }
        call::<Reply>(abi::scheduler_list, &Nothing {}).map(|reply| reply.schedules)
    }

    /// One schedule, if this install has one with that id.
    pub fn get(&self, schedule_id: &str) -> Result<Option<ScheduleInfo>, HostError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            schedule_id: &'a str,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(skip_serializing_if = "Option::is_none")]
            schedule: Option<ScheduleInfo>,
        }
        call::<Reply>(abi::scheduler_get, &Request { schedule_id }).map(|reply| reply.schedule)
    }

    /// Create a schedule that calls one of the extension's own endpoints.
    pub fn create(&self, input: &CreateScheduleInput) -> ScheduleResult {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            schedule_id: String,
        }
        ScheduleResult::of(call::<Reply>(abi::scheduler_create, input).map(|reply| reply.schedule_id))
    }

    /// Change a schedule: an absent member is left, nil clears name, payload and window.
    pub fn update(&self, input: &UpdateScheduleInput) -> ScheduleResult {
        ScheduleResult::of(call::<Nothing>(abi::scheduler_update, input).map(|_| input.schedule_id.clone()))
    }

    /// Delete a schedule; it does not run again.
    pub fn delete(&self, schedule_id: &str) -> ScheduleResult {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            schedule_id: &'a str,
        }
        ScheduleResult::of(call::<Nothing>(abi::scheduler_delete, &Request { schedule_id }).map(|_| schedule_id.into()))
    }

    /// The endpoints of the installed version, ordered by path, with which of them can be scheduled.
    pub fn get_endpoints(&self) -> Result<Vec<EndpointInfo>, HostError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            endpoints: Vec<EndpointInfo>,
        }
        call::<Reply>(abi::scheduler_get_endpoints, &Nothing {}).map(|reply| reply.endpoints)
    }
}

/// Every call needs `cap:secrets.get`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SecretsHost;

impl SecretsHost {
    /// One of the install's secrets.
    pub fn get(&self, key: &str) -> Result<String, HostError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            key: &'a str,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            value: String,
        }
        call::<Reply>(abi::secrets_get, &Request { key }).map(|reply| reply.value)
    }

    /// The names of the install's secrets.
    pub fn list_keys(&self) -> Result<Vec<String>, HostError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            keys: Vec<String>,
        }
        call::<Reply>(abi::secrets_list_keys, &Nothing {}).map(|reply| reply.keys)
    }
}

/// Every call needs `cap:service.read`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ServicesHost;

impl ServicesHost {
    /// The services and products that the tenant sells, one page at a time.
    pub fn list(&self, input: &ServicesListInput) -> Result<ServicesListResult, HostError> {
        call::<ServicesListResult>(abi::services_list, input)
    }

    /// One service or product, if the tenant has one with that id.
    pub fn get(&self, service_id: &str) -> Result<Option<ServiceSummary>, HostError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            service_id: &'a str,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(skip_serializing_if = "Option::is_none")]
            service: Option<ServiceSummary>,
        }
        call::<Reply>(abi::services_get, &Request { service_id }).map(|reply| reply.service)
    }
}

/// Every call needs `cap:storage.kv`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StorageHost;

impl StorageHost {
    /// One stored value, if there is one under that key.
    pub fn get(&self, namespace: &str, key: &str) -> Result<Option<StorageEntry>, HostError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            namespace: &'a str,
            key: &'a str,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(skip_serializing_if = "Option::is_none")]
            entry: Option<StorageEntry>,
        }
        call::<Reply>(abi::storage_get, &Request { namespace, key }).map(|reply| reply.entry)
    }

    /// Store a value; with a revision, only in place of the value that has it.
    pub fn put(&self, input: &StorageWrite) -> Result<i64, HostError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            revision: i64,
        }
        call::<Reply>(abi::storage_put, input).map(|reply| reply.revision)
    }

    /// Delete a stored value.
    pub fn delete(&self, namespace: &str, key: &str) -> Result<(), HostError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a> {
            namespace: &'a str,
            key: &'a str,
        }
        call::<Nothing>(abi::storage_delete, &Request { namespace, key }).map(|_| ())
    }

    /// The stored values of a namespace by key, one page at a time.
    pub fn list(&self, input: &StoragePage) -> Result<EntryList, HostError> {
        call::<EntryList>(abi::storage_list, input)
    }
}

/// Every call needs `cap:ui.proxy`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct UiProxyHost;

impl UiProxyHost {
    /// Call a route of the host's user interface, and give the body of its answer.
    pub fn call_route(&self, input: &RouteCall) -> Result<Vec<u8>, HostError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(with = "crate::body::required")]
            body: Vec<u8>,
        }
        call::<Reply>(abi::ui_proxy_call_route, input).map(|reply| reply.body)
    }
}

/// Every call needs `cap:user.read`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct UserHost;

impl UserHost {
    /// The person behind the request, if there is one; a schedule's run has none.
    pub fn get(&self) -> Result<Option<TenantUser>, HostError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply {
            #[serde(skip_serializing_if = "Option::is_none")]
            user: Option<TenantUser>,
        }
        call::<Reply>(abi::user_get, &Nothing {}).map(|reply| reply.user)
    }
}
