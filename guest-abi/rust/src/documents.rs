//! Generated from guest-abi/schema by `make docs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::HttpHeader;
use crate::schedule::{Change, setters};

/// One client of the tenant.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClientSummary {
    pub client_id: String,
    pub client_name: String,
    /// Such as `company` or `individual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_type: Option<String>,
    pub is_inactive: bool,
    /// Such as `EUR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_currency_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_manager_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_manager_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_email: Option<String>,
}

/// Which clients to list.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClientsListInput {
    /// A part of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// False by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_inactive: Option<bool>,
    /// 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<i64>,
    /// 25 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<i64>,
}

impl ClientsListInput {
    pub fn new() -> Self {
        Self { ..Self::default() }
    }

    setters! {
        /// A part of the name.
        search: String => Some;
        /// False by default.
        include_inactive: bool => Some;
        /// 1 by default.
        page: i64 => Some;
        /// 25 by default.
        page_size: i64 => Some;
    }
}

/// One page of clients.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClientsListResult {
    pub items: Vec<ClientSummary>,
    /// How many there are on all pages.
    pub total_count: i64,
    pub page: i64,
    pub page_size: i64,
}

/// An invoice to create.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateManualInvoiceInput {
    /// A UUID.
    pub client_id: String,
    /// One at least.
    pub items: Vec<ManualInvoiceItemInput>,
    /// Such as `2026-03-29`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice_date: Option<String>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_date: Option<String>,
    /// Up to 128 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub po_number: Option<String>,
}

impl CreateManualInvoiceInput {
    pub fn new(client_id: impl Into<String>, items: impl Into<Vec<ManualInvoiceItemInput>>) -> Self {
        Self { client_id: client_id.into(), items: items.into(), ..Self::default() }
    }

    setters! {
        /// Such as `2026-03-29`.
        invoice_date: String => Some;
        /// Likewise.
        due_date: String => Some;
        /// Up to 128 characters.
        po_number: String => Some;
    }
}

/// A schedule to create. Absent members take defaults.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateScheduleInput {
    /// `/path` or `METHOD /path` of an endpoint in the extension's own manifest.
    pub endpoint: String,
    /// Five fields.
    pub cron: String,
    /// A name of the IANA database, UTC by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether it fires, true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Unique in the install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A map or an array, which the handler gets as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Creates of an install with the same key have the first one's result, for a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// For occurrences that were not fired in time: `skip`, `latest` (the default) or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_runs: Option<String>,
    /// How late a missed occurrence may still run; without it, any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_window_seconds: Option<i64>,
    /// How often a nominal time is tried in all, 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    /// From the end of the first attempt to the second, 60 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay_seconds: Option<i64>,
    /// By which the wait grows after that, 2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_factor: Option<i64>,
}

impl CreateScheduleInput {
    pub fn new(endpoint: impl Into<String>, cron: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), cron: cron.into(), ..Self::default() }
    }

    setters! {
        /// A name of the IANA database, UTC by default.
        timezone: String => Some;
        /// Whether it fires, true by default.
        enabled: bool => Some;
        /// Unique in the install.
        name: String => Some;
        /// A map or an array, which the handler gets as JSON.
        payload: Value => Some;
        /// Creates of an install with the same key have the first one's result, for a day.
        idempotency_key: String => Some;
        /// For occurrences that were not fired in time: `skip`, `latest` (the default) or `all`.
        missed_runs: String => Some;
        /// How late a missed occurrence may still run; without it, any time.
        missed_window_seconds: i64 => Some;
        /// How often a nominal time is tried in all, 1 by default.
        max_attempts: i64 => Some;
        /// From the end of the first attempt to the second, 60 by default.
        retry_delay_seconds: i64 => Some;
        /// By which the wait grows after that, 2 by default.
        retry_factor: i64 => Some;
    }
}

/// What a successful create answers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreatedInvoice {
    pub invoice_id: String,
    pub invoice_number: String,
    /// Such as `draft`.
    pub status: String,
    /// In the currency's smallest unit, as the other amounts.
    pub subtotal: f64,
    pub tax: f64,
    pub total: f64,
}

/// One endpoint of the installed version.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EndpointInfo {
    /// Of this version's endpoint.
    pub id: String,
    /// As in the manifest.
    pub method: String,
    /// As in the manifest.
    pub path: String,
    /// As in the manifest.
    pub handler: String,
    /// GET or POST, and no path parameters.
    pub schedulable: bool,
}

/// One page of stored values.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EntryList {
    /// In the order of their keys.
    pub entries: Vec<StorageEntry>,
    /// Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One request to another server.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FetchInput {
    /// Such as `GET`.
    pub method: String,
    /// Absolute, http or https.
    pub url: String,
    /// In visible ASCII; those of the connection and the framing are the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<HttpHeader>>,
    /// Nil or absent is no body.
    #[serde(default, with = "crate::body", skip_serializing_if = "Option::is_none")]
    pub body: Option<Vec<u8>>,
    /// How many redirects are followed; without it, one is the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirects: Option<i64>,
}

impl FetchInput {
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), ..Self::default() }
    }

    setters! {
        /// In visible ASCII; those of the connection and the framing are the host's.
        headers: Vec<HttpHeader> => Some;
        /// Nil or absent is no body.
        body: Vec<u8> => Some;
        /// How many redirects are followed; without it, one is the answer.
        redirects: i64 => Some;
    }
}

/// The answer of the other server, of any status.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FetchedResponse {
    pub status: i64,
    /// In the order of the answer, names in small letters.
    pub headers: Vec<HttpHeader>,
    /// Unpacked, unless the request named an `accept-encoding`.
    #[serde(with = "crate::body::required")]
    pub body: Vec<u8>,
}

/// One line of an invoice.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ManualInvoiceItemInput {
    /// A UUID.
    pub service_id: String,
    /// More than 0.
    pub quantity: f64,
    /// Up to 500 characters.
    pub description: String,
    /// 0 or more, in the currency's smallest unit; of a discount, up to 100 for percentages.
    pub rate: f64,
    /// False by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_discount: Option<bool>,
    /// `percentage` or `fixed`; of discounts alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount_type: Option<String>,
    /// Of discounts alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applies_to_item_id: Option<String>,
    /// Of discounts alone, and not with `appliesToItemId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applies_to_service_id: Option<String>,
}

impl ManualInvoiceItemInput {
    pub fn new(service_id: impl Into<String>, quantity: impl Into<f64>, description: impl Into<String>, rate: impl Into<f64>) -> Self {
        Self { service_id: service_id.into(), quantity: quantity.into(), description: description.into(), rate: rate.into(), ..Self::default() }
    }

    setters! {
        /// False by default.
        is_discount: bool => Some;
        /// `percentage` or `fixed`; of discounts alone.
        discount_type: String => Some;
        /// Of discounts alone.
        applies_to_item_id: String => Some;
        /// Of discounts alone, and not with `appliesToItemId`.
        applies_to_service_id: String => Some;
    }
}

/// One call of a route.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RouteCall {
    /// Below the extension's own routes, or `/api/...`; it may have a query.
    pub route: String,
    /// JSON to POST; nil or absent is a GET.
    #[serde(default, with = "crate::body", skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<u8>>,
}

impl RouteCall {
    pub fn new(route: impl Into<String>) -> Self {
        Self { route: route.into(), ..Self::default() }
    }

    setters! {
        /// JSON to POST; nil or absent is a GET.
        payload: Vec<u8> => Some;
    }
}

/// One schedule of the calling install.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ScheduleInfo {
    pub id: String,
    /// As in the manifest.
    pub endpoint_path: String,
    /// GET or POST.
    pub endpoint_method: String,
    /// Unique in the install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Five fields.
    pub cron: String,
    /// A name of the IANA database.
    pub timezone: String,
    /// Whether it fires.
    pub enabled: bool,
    /// A map or an array, which the handler gets as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// When its last run began, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<String>,
    /// `success` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_status: Option<String>,
    /// Why its last run failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

/// One service or product that the tenant sells.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceSummary {
    pub service_id: String,
    pub service_name: String,
    /// `service` or `product`.
    pub item_kind: String,
    /// `fixed`, `hourly` or `usage`.
    pub billing_method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_type_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_type_name: Option<String>,
    /// In the currency's smallest unit.
    pub default_rate: f64,
    pub unit_of_measure: String,
    pub is_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
}

/// Which services to list.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServicesListInput {
    /// A part of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// `service` or `product`; both by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_kind: Option<String>,
    /// Both by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// `fixed`, `hourly` or `usage`; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_method: Option<String>,
    /// 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<i64>,
    /// 25 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<i64>,
}

impl ServicesListInput {
    pub fn new() -> Self {
        Self { ..Self::default() }
    }

    setters! {
        /// A part of the name.
        search: String => Some;
        /// `service` or `product`; both by default.
        item_kind: String => Some;
        /// Both by default.
        is_active: bool => Some;
        /// `fixed`, `hourly` or `usage`; all by default.
        billing_method: String => Some;
        /// 1 by default.
        page: i64 => Some;
        /// 25 by default.
        page_size: i64 => Some;
    }
}

/// One page of services.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServicesListResult {
    pub items: Vec<ServiceSummary>,
    /// How many there are on all pages.
    pub total_count: i64,
    pub page: i64,
    pub page_size: i64,
}

/// One stored value.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StorageEntry {
    /// Groups keys; the server makes it when it is first written to.
    pub namespace: String,
    /// Without `/`.
    pub key: String,
    /// As it was stored; the JSON text of a value that another program stored as JSON.
    #[serde(with = "crate::body::required")]
    pub value: Vec<u8>,
    /// Grows with each write of the value.
    pub revision: i64,
}

/// Which values to list.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoragePage {
    /// As in a write.
    pub namespace: String,
    /// The `nextCursor` of the page before, which is its last key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many at most, 25 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

impl StoragePage {
    pub fn new(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), ..Self::default() }
    }

    setters! {
        /// The `nextCursor` of the page before, which is its last key.
        cursor: String => Some;
        /// How many at most, 25 by default.
        limit: i64 => Some;
    }
}

/// A value to store.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StorageWrite {
    /// Up to 65,536 bytes; Alga's server takes 49,149.
    #[serde(with = "crate::body::required")]
    pub value: Vec<u8>,
    /// That of the value to replace: another one is a `conflict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Groups keys; the server makes it when it is first written to.
    pub namespace: String,
    /// Without `/`.
    pub key: String,
}

impl StorageWrite {
    pub fn new(namespace: impl Into<String>, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { namespace: namespace.into(), key: key.into(), value: value.into(), ..Self::default() }
    }

    setters! {
        /// That of the value to replace: another one is a `conflict`.
        revision: i64 => Some;
    }
}

/// The person behind the request, and whose user it is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantUser {
    pub user_id: String,
    pub user_email: String,
    pub user_name: String,
    /// Such as `internal` or `client`.
    pub user_type: String,
    /// Empty without a client.
    pub client_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Further facts, by name.
    pub additional_fields: BTreeMap<String, String>,
    /// Of the execution's context.
    pub tenant_id: String,
}

/// Changes to a schedule. An absent member is left; nil clears `name`, `payload` and `missedWindowSeconds`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UpdateScheduleInput {
    /// Which schedule.
    pub schedule_id: String,
    /// `/path` or `METHOD /path` of an endpoint in the extension's own manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Five fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// A name of the IANA database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Unique in the install.
    #[serde(default, skip_serializing_if = "Change::is_leave")]
    pub name: Change<String>,
    /// A map or an array, which the handler gets as JSON.
    #[serde(default, skip_serializing_if = "Change::is_leave")]
    pub payload: Change<Value>,
    /// For occurrences that were not fired in time: `skip`, `latest` (the default) or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_runs: Option<String>,
    /// How late a missed occurrence may still run; without it, any time.
    #[serde(default, skip_serializing_if = "Change::is_leave")]
    pub missed_window_seconds: Change<i64>,
    /// How often a nominal time is tried in all, 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i64>,
    /// From the end of the first attempt to the second, 60 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay_seconds: Option<i64>,
    /// By which the wait grows after that, 2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_factor: Option<i64>,
}

impl UpdateScheduleInput {
    pub fn new(schedule_id: impl Into<String>) -> Self {
        Self { schedule_id: schedule_id.into(), ..Self::default() }
    }

    setters! {
        /// `/path` or `METHOD /path` of an endpoint in the extension's own manifest.
        endpoint: String => Some;
        /// Five fields.
        cron: String => Some;
        /// A name of the IANA database.
        timezone: String => Some;
        /// Whether it fires.
        enabled: bool => Some;
        /// Unique in the install.
        name: String => Change::Set;
        /// A map or an array, which the handler gets as JSON.
        payload: Value => Change::Set;
        /// For occurrences that were not fired in time: `skip`, `latest` (the default) or `all`.
        missed_runs: String => Some;
        /// How late a missed occurrence may still run; without it, any time.
        missed_window_seconds: i64 => Change::Set;
        /// How often a nominal time is tried in all, 1 by default.
        max_attempts: i64 => Some;
        /// From the end of the first attempt to the second, 60 by default.
        retry_delay_seconds: i64 => Some;
        /// By which the wait grows after that, 2 by default.
        retry_factor: i64 => Some;
    }

    #[must_use]
    pub fn clear_name(mut self) -> Self {
        self.name = Change::Clear;
        self
    }

    #[must_use]
    pub fn clear_payload(mut self) -> Self {
        self.payload = Change::Clear;
        self
    }

    #[must_use]
    pub fn clear_missed_window_seconds(mut self) -> Self {
        self.missed_window_seconds = Change::Clear;
        self
    }
}
