/* Alga extensions in C: guest ABI v1 (ABI.md) for core modules, without a C library.
 *
 * An extension defines `alga_handler` and is compiled together with alga.c:
 *
 *     alga_response alga_handler(const alga_request *request) {
 *       return alga_text_response(200, alga_string("Hello, world!\n"));
 *     }
 *
 * `alga_alloc` gives memory and takes none back: an execution is one request, in a fresh instance that is thrown away
 * after it. Everything that a function here gives stays valid until then.
 */
#ifndef ALGA_H
#define ALGA_H

#include <stdbool.h>
#include <stddef.h>

/* ---- Text, bytes, memory ---- */

/* Text in UTF-8, not terminated by a zero. `at` is NULL where a member is absent; empty text is not absent. */
typedef struct {
  const char *at;
  size_t length;
} alga_text;

/* Bytes, such as a body. `at` is NULL where they are absent; an empty body is not absent. */
typedef struct {
  const unsigned char *at;
  size_t length;
} alga_bytes;

/* One MessagePack document. `at` is NULL where a member is absent. */
typedef alga_bytes alga_document;

alga_text alga_string(const char *terminated);
bool alga_equals(alga_text text, const char *terminated);
alga_text alga_as_text(alga_bytes bytes);
alga_bytes alga_as_bytes(alga_text text);

/* Memory for `size` bytes, aligned to 16, from the end of the data on; ends the execution when memory has run out. With a C
 * library define `alga_alloc` yourself, over its malloc: this one is weak and would share the heap with it. */
void *alga_alloc(size_t size);

/* End the execution with a message of the guest's own, which is shown where traps are. */
_Noreturn void alga_fail(alga_text message);

/* ---- MessagePack ---- */

/* Writes to `at`, up to `capacity`. `length` counts on beyond it: more than `capacity` means that it did not fit. */
typedef struct {
  unsigned char *at;
  size_t capacity, length;
} alga_writer;

void alga_write_nil(alga_writer *writer);
void alga_write_bool(alga_writer *writer, bool value);
void alga_write_int(alga_writer *writer, long long value);
void alga_write_uint(alga_writer *writer, unsigned long long value);
void alga_write_double(alga_writer *writer, double value);
void alga_write_text(alga_writer *writer, alga_text text);
void alga_write_bytes(alga_writer *writer, alga_bytes bytes);
void alga_write_array(alga_writer *writer, size_t count); /* `count` values follow */
void alga_write_map(alga_writer *writer, size_t count);   /* `count` keys and values follow, in turns */
void alga_put(alga_writer *writer, const void *at, size_t length); /* as it is: a document, or text of any kind */

/* What `write` writes of `from`, in memory of its size: `write` is called twice, the first time to measure. */
alga_bytes alga_written(void (*write)(alga_writer *writer, const void *from), const void *from);

typedef enum {
  ALGA_NIL,
  ALGA_BOOL,
  ALGA_UINT,
  ALGA_INT, /* below zero */
  ALGA_DOUBLE,
  ALGA_TEXT,
  ALGA_BYTES,
  ALGA_ARRAY,
  ALGA_MAP,
  ALGA_EXTENSION,
  ALGA_BROKEN, /* the bytes end too early, or 0xc1 */
} alga_kind;

/* One value, or the head of an array or a map, whose members follow. */
typedef struct {
  alga_kind kind;
  bool boolean;
  long long integer; /* of ALGA_UINT the bits */
  double number;
  alga_bytes bytes; /* of text, bytes and extensions */
  size_t count;     /* of an array its values, of a map its keys */
} alga_value;

/* Reads from `at` up to `end`: {document.at, document.at + document.length}. */
typedef struct {
  const unsigned char *at, *end;
} alga_reader;

alga_value alga_read(alga_reader *reader);
alga_document alga_skip(alga_reader *reader); /* the next value, whole; absent where it is broken */
alga_document alga_member(alga_document map, const char *key); /* absent where `map` has no such member */
alga_text alga_text_member(alga_document map, const char *key); /* of `config`, field errors and the like */

typedef enum {
  ALGA_FINE,
  ALGA_BREACH,  /* not exactly one MessagePack document */
  ALGA_REFUSED, /* one, but against a rule: keys, depth, UTF-8, extensions */
} alga_fault;

/* Hold a document against the rules of the guest ABI. The SDK does so with every message of the host. */
alga_fault alga_check(alga_document document);

/* ---- The request and its response ---- */

typedef struct {
  alga_text name, value;
} alga_header;

/* The person behind a request. */
typedef struct {
  alga_text user_id;
  alga_text user_email;
  alga_text user_name;
  alga_text user_type;
  alga_text client_name;
  alga_text client_id;
  alga_document additional_fields;
} alga_user;

/* Who calls, and why. `trigger` is "schedule" or "run_now" when a schedule fired; then the members below it are there. */
typedef struct {
  alga_text request_id;
  alga_text tenant_id;
  alga_text extension_id;
  alga_text install_id;
  alga_text version_id;
  alga_document config; /* alga_text_member(context.config, "intervalHours") */
  alga_text trigger;
  alga_text schedule_id;
  alga_text nominal_time;
  alga_text schedule_name;
  alga_text schedule_timezone;
  long long attempt; /* from 1; 0 when absent */
  alga_text started_at;
} alga_context;

/* `url` is the path, then `?` and the query if there is one. */
typedef struct {
  alga_text method;
  alga_text url;
  const alga_header *headers;
  size_t header_count;
  alga_bytes body;
} alga_http;

typedef struct {
  alga_context context;
  alga_http http;
  const alga_user *user; /* NULL when absent */
} alga_request;

typedef struct {
  int status; /* 200 to 599 */
  const alga_header *headers;
  size_t header_count;
  alga_bytes body;
} alga_response;

/* Defined by the extension. */
alga_response alga_handler(const alga_request *request);

bool alga_asks(const alga_request *request, const char *method, const char *path);
alga_text alga_path(const alga_request *request);                      /* the url up to its query */
alga_text alga_query(const alga_request *request, const char *name);   /* the first value of that name, decoded */
alga_text alga_header_of(const alga_request *request, const char *name); /* the first of that name, in any case */

alga_response alga_text_response(int status, alga_text text);
alga_response alga_json_response(int status, alga_text json);
alga_response alga_problem(int status, alga_text code, alga_text message); /* {error: {code, message}} */

/* The text in quotes, as JSON. */
void alga_json_text(alga_writer *writer, alga_text text);

/* ---- The host ---- */

typedef enum {
  ALGA_OK,
  ALGA_DENIED,
  ALGA_NOT_FOUND,
  ALGA_VALIDATION_FAILED,
  ALGA_QUOTA_EXCEEDED,
  ALGA_RATE_LIMITED,
  ALGA_CONFLICT,
  ALGA_EXPIRED,
  ALGA_TOO_LARGE,
  ALGA_TIMEOUT, /* a change may or may not have happened */
  ALGA_UNAVAILABLE,
  ALGA_UNSUPPORTED, /* the host lacks the operation */
  ALGA_INTERNAL,    /* and every code that this file does not know */
} alga_code;

alga_text alga_code_name(alga_code code);

/* Why the host refused a call; `code` is ALGA_OK where it did not. */
typedef struct {
  alga_code code;
  alga_text message;
  alga_document field_errors; /* text by member of the request */
  long long retry_after_ms;   /* 0 where the host names none */
  bool retryable;             /* the same call may succeed later, and does no harm if this one took effect after all */
} alga_error;

/* {error: {code, message}} with status 403 when denied, 503 when trying later makes sense, 502 otherwise. */
alga_response alga_error_response(alga_error error);

typedef struct {
  alga_text id;
  alga_text endpoint_path;
  alga_text endpoint_method;
  alga_text name;
  alga_text cron;
  alga_text timezone;
  bool enabled;
  alga_document payload;
  alga_text last_run_at;
  alga_text last_run_status;
  alga_text last_error;
  alga_text created_at;
} alga_schedule;

typedef struct {
  alga_text id;
  alga_text method;
  alga_text path;
  alga_text handler;
  bool schedulable; /* GET or POST, and no path parameters */
} alga_endpoint;

typedef enum { ALGA_UNSET, ALGA_ON, ALGA_OFF } alga_switch;

/* Numbers that may be absent: {true, 10}. */
typedef struct {
  bool given;
  long long value;
} alga_integer;

typedef struct {
  bool given;
  double value;
} alga_decimal;

/* A schedule to create. A member that is zero takes the server's default. */
typedef struct {
  alga_text endpoint; /* "/path" or "METHOD /path" */
  alga_text cron;     /* five fields */
  alga_text timezone;
  alga_switch enabled;
  alga_text name;
  alga_document payload; /* a map or an array */
  alga_text idempotency_key;
  alga_text missed_runs; /* "skip", "latest" or "all" */
  long long missed_window_seconds;
  long long max_attempts;
  long long retry_delay_seconds;
  long long retry_factor;
} alga_create_input;

/* Changes to a schedule. A member that is zero leaves the stored value; `clear_name` and the like take it away. */
typedef struct {
  alga_text schedule_id;
  alga_text endpoint;
  alga_text cron;
  alga_text timezone;
  alga_switch enabled;
  alga_text name;
  alga_document payload;
  alga_text missed_runs;
  long long missed_window_seconds;
  long long max_attempts;
  long long retry_delay_seconds;
  long long retry_factor;
  bool clear_name, clear_payload, clear_missed_window_seconds;
} alga_update_input;

/* What create, update and delete give in every case. */
typedef struct {
  bool success;
  alga_text schedule_id; /* that was created, updated or deleted */
  alga_text error;       /* the host's message where it refused */
  alga_document field_errors;
  alga_error host_error; /* the whole refusal */
} alga_schedule_result;

typedef struct {
  const alga_schedule *items; /* oldest first */
  size_t count;
  alga_error error;
} alga_schedule_list;

typedef struct {
  const alga_schedule *schedule; /* NULL without an error: this install has none with that id */
  alga_error error;
} alga_schedule_found;

typedef struct {
  const alga_endpoint *items; /* ordered by path */
  size_t count;
  alga_error error;
} alga_endpoint_list;

typedef struct {
  alga_context context;
  alga_error error;
} alga_context_result;

/* This install's schedules; needs cap:scheduler.manage. */
alga_schedule_list alga_scheduler_list(void);
alga_schedule_found alga_scheduler_get(alga_text schedule_id);
alga_schedule_result alga_scheduler_create(const alga_create_input *input);
alga_schedule_result alga_scheduler_update(const alga_update_input *input);
alga_schedule_result alga_scheduler_delete(alga_text schedule_id);
alga_endpoint_list alga_scheduler_get_endpoints(void);

/* {success, scheduleId?, error?, fieldErrors?} as JSON, with `status` where it succeeded and 409 where it did not. */
alga_response alga_result_response(int status, alga_schedule_result result);

/* The request's context again; needs cap:context.read. */
alga_context_result alga_context_get(void);

typedef enum { ALGA_DEBUG, ALGA_INFO, ALGA_WARN, ALGA_ERROR } alga_level;

/* One line of the execution's log; over 8 KiB it is cut. */
void alga_log(alga_level level, alga_text line);

/* ---- The documents by table, for tests and for hosts' replies that are passed on ---- */

typedef struct alga_field {
  const char *name;
  unsigned char kind;
  bool required;
  unsigned short offset, size; /* where the member is; of what it points at, the size */
  const struct alga_field *of; /* and the fields */
} alga_field;

extern const alga_field alga_schedule_fields[], alga_endpoint_fields[], alga_context_fields[], alga_user_fields[],
    alga_create_fields[], alga_update_fields[];

/* Write the struct at `from` as a map, read a map into the struct at `to`. Absent members are zero. */
void alga_write_fields(alga_writer *writer, const alga_field *fields, const void *from);
void alga_read_fields(alga_document map, const alga_field *fields, void *to);

/* The parts of the messages, for tests of the SDK: what `alga_handle` and the host calls do without the host. */
alga_error alga_decode_reply(alga_document reply, alga_document *ok);
bool alga_decode_request(alga_document document, alga_request *request);
void alga_write_response(alga_writer *writer, const alga_response *response);

/* ---- Other host calls: generated from guest-abi/schema ---- */

/* Names one client. */
typedef struct {
  alga_text client_id; /* a UUID */
} alga_client_ref;

/* One client of the tenant. */
typedef struct {
  alga_text client_id;
  alga_text client_name;
  alga_text client_type; /* such as `company` or `individual` */
  bool is_inactive;
  alga_text default_currency_code; /* such as `EUR` */
  alga_text account_manager_id;
  alga_text account_manager_name;
  alga_text billing_email;
} alga_client_summary;

/* Which clients to list. */
typedef struct {
  alga_text search; /* a part of the name */
  alga_switch include_inactive; /* false by default */
  alga_integer page; /* 1 by default */
  alga_integer page_size; /* 25 by default */
} alga_clients_list_input;

/* One request to another server. */
typedef struct {
  alga_text method; /* such as `GET` */
  alga_text url; /* absolute, http or https */
  const alga_header *headers; /* in visible ASCII; those of the connection and the framing are the host's */
  size_t headers_count;
  alga_bytes body; /* nil or absent is no body */
  alga_integer redirects; /* how many redirects are followed; without it, one is the answer */
} alga_fetch_input;

/* One line of an invoice. */
typedef struct {
  alga_text service_id; /* a UUID */
  double quantity; /* more than 0 */
  alga_text description; /* up to 500 characters */
  double rate; /* 0 or more, in the currency's smallest unit; of a discount, up to 100 for percentages */
  alga_switch is_discount; /* false by default */
  alga_text discount_type; /* `percentage` or `fixed`; of discounts alone */
  alga_text applies_to_item_id; /* of discounts alone */
  alga_text applies_to_service_id; /* of discounts alone, and not with `appliesToItemId` */
} alga_manual_invoice_item_input;

/* An invoice to create. */
typedef struct {
  alga_text client_id; /* a UUID */
  const alga_manual_invoice_item_input *items; /* one at least */
  size_t items_count;
  alga_text invoice_date; /* such as `2026-03-29` */
  alga_text due_date; /* likewise */
  alga_text po_number; /* up to 128 characters */
} alga_create_manual_invoice_input;

/* One call of a route. */
typedef struct {
  alga_text route; /* below the extension's own routes, or `/api/...`; it may have a query */
  alga_bytes payload; /* JSON to POST; nil or absent is a GET */
} alga_route_call;

/* Names one secret. */
typedef struct {
  alga_text key; /* as an admin named it */
} alga_secret_ref;

/* Names one service. */
typedef struct {
  alga_text service_id; /* a UUID */
} alga_service_ref;

/* One service or product that the tenant sells. */
typedef struct {
  alga_text service_id;
  alga_text service_name;
  alga_text item_kind; /* `service` or `product` */
  alga_text billing_method; /* `fixed`, `hourly` or `usage` */
  alga_text service_type_id;
  alga_text service_type_name;
  double default_rate; /* in the currency's smallest unit */
  alga_text unit_of_measure;
  bool is_active;
  alga_text sku;
} alga_service_summary;

/* Which services to list. */
typedef struct {
  alga_text search; /* a part of the name */
  alga_text item_kind; /* `service` or `product`; both by default */
  alga_switch is_active; /* both by default */
  alga_text billing_method; /* `fixed`, `hourly` or `usage`; all by default */
  alga_integer page; /* 1 by default */
  alga_integer page_size; /* 25 by default */
} alga_services_list_input;

/* One stored value. */
typedef struct {
  alga_text namespace; /* groups keys; the server makes it when it is first written to */
  alga_text key; /* without `/` */
  alga_bytes value; /* as it was stored; the JSON text of a value that another program stored as JSON */
  long long revision; /* grows with each write of the value */
} alga_storage_entry;

/* Names one stored value. */
typedef struct {
  alga_text namespace; /* groups keys; the server makes it when it is first written to */
  alga_text key; /* without `/` */
} alga_storage_key;

/* Which values to list. */
typedef struct {
  alga_text namespace; /* as in a write */
  alga_text cursor; /* the `nextCursor` of the page before, which is its last key */
  alga_integer limit; /* how many at most, 25 by default */
} alga_storage_page;

/* A value to store. */
typedef struct {
  alga_bytes value; /* up to 65,536 bytes; Alga's server takes 49,149 */
  alga_integer revision; /* that of the value to replace: another one is a `conflict` */
  alga_text namespace; /* groups keys; the server makes it when it is first written to */
  alga_text key; /* without `/` */
} alga_storage_write;

/* The person behind the request, and whose user it is. */
typedef struct {
  alga_text user_id;
  alga_text user_email;
  alga_text user_name;
  alga_text user_type; /* such as `internal` or `client` */
  alga_text client_name; /* empty without a client */
  alga_text client_id;
  alga_document additional_fields; /* further facts, by name */
  alga_text tenant_id; /* of the execution's context */
} alga_tenant_user;

typedef struct {
  const alga_client_summary *items;
  size_t items_count;
  long long total_count; /* how many there are on all pages */
  long long page;
  long long page_size;
  alga_error error;
} alga_clients_list_reply;

/* The tenant's clients, one page at a time. Needs cap:client.read. */
alga_clients_list_reply alga_clients_list(const alga_clients_list_input *input);

typedef struct {
  const alga_client_summary *client; /* absent where the tenant has none with that id */
  alga_error error;
} alga_clients_get_reply;

/* One client, if the tenant has one with that id. Needs cap:client.read. */
alga_clients_get_reply alga_clients_get(alga_text client_id);

typedef struct {
  long long status;
  const alga_header *headers; /* in the order of the answer, names in small letters */
  size_t headers_count;
  alga_bytes body; /* unpacked, unless the request named an `accept-encoding` */
  alga_error error;
} alga_http_fetch_reply;

/* Send one request to another server that the operator allows, and give its answer. Needs cap:http.fetch. */
alga_http_fetch_reply alga_http_fetch(const alga_fetch_input *input);

typedef struct {
  alga_text invoice_id;
  alga_text invoice_number;
  alga_text status; /* such as `draft` */
  double subtotal; /* in the currency's smallest unit, as the other amounts */
  double tax;
  double total;
  alga_error error;
} alga_invoicing_create_manual_invoice_reply;

/* Create an invoice for a client of the tenant. Needs cap:invoice.manual.create. */
alga_invoicing_create_manual_invoice_reply alga_invoicing_create_manual_invoice(const alga_create_manual_invoice_input *input);

typedef struct {
  alga_text value; /* the secret itself; keep it out of responses */
  alga_error error;
} alga_secrets_get_reply;

/* One of the install's secrets. Needs cap:secrets.get. */
alga_secrets_get_reply alga_secrets_get(alga_text key);

typedef struct {
  const alga_text *keys; /* in their order */
  size_t keys_count;
  alga_error error;
} alga_secrets_list_keys_reply;

/* The names of the install's secrets. Needs cap:secrets.get. */
alga_secrets_list_keys_reply alga_secrets_list_keys(void);

typedef struct {
  const alga_service_summary *items;
  size_t items_count;
  long long total_count; /* how many there are on all pages */
  long long page;
  long long page_size;
  alga_error error;
} alga_services_list_reply;

/* The services and products that the tenant sells, one page at a time. Needs cap:service.read. */
alga_services_list_reply alga_services_list(const alga_services_list_input *input);

typedef struct {
  const alga_service_summary *service; /* absent where the tenant has none with that id */
  alga_error error;
} alga_services_get_reply;

/* One service or product, if the tenant has one with that id. Needs cap:service.read. */
alga_services_get_reply alga_services_get(alga_text service_id);

typedef struct {
  const alga_storage_entry *entry; /* absent where there is no such key */
  alga_error error;
} alga_storage_get_reply;

/* One stored value, if there is one under that key. Needs cap:storage.kv. */
alga_storage_get_reply alga_storage_get(alga_text namespace, alga_text key);

typedef struct {
  long long revision; /* the stored value's */
  alga_error error;
} alga_storage_put_reply;

/* Store a value; with a revision, only in place of the value that has it. Needs cap:storage.kv. */
alga_storage_put_reply alga_storage_put(const alga_storage_write *input);

/* Delete a stored value. Needs cap:storage.kv. */
alga_error alga_storage_delete(alga_text namespace, alga_text key);

typedef struct {
  const alga_storage_entry *entries; /* in the order of their keys */
  size_t entries_count;
  alga_text next_cursor; /* absent at the end */
  alga_error error;
} alga_storage_list_reply;

/* The stored values of a namespace by key, one page at a time. Needs cap:storage.kv. */
alga_storage_list_reply alga_storage_list(const alga_storage_page *input);

typedef struct {
  alga_bytes body;
  alga_error error;
} alga_ui_proxy_call_route_reply;

/* Call a route of the host's user interface, and give the body of its answer. Needs cap:ui.proxy. */
alga_ui_proxy_call_route_reply alga_ui_proxy_call_route(const alga_route_call *input);

typedef struct {
  const alga_tenant_user *user; /* absent where no person asks */
  alga_error error;
} alga_user_get_reply;

/* The person behind the request, if there is one; a schedule's run has none. Needs cap:user.read. */
alga_user_get_reply alga_user_get(void);

extern const alga_field alga_client_ref_fields[],
    alga_client_summary_fields[],
    alga_clients_list_input_fields[],
    alga_fetch_input_fields[],
    alga_manual_invoice_item_input_fields[],
    alga_create_manual_invoice_input_fields[],
    alga_route_call_fields[],
    alga_secret_ref_fields[],
    alga_service_ref_fields[],
    alga_service_summary_fields[],
    alga_services_list_input_fields[],
    alga_storage_entry_fields[],
    alga_storage_key_fields[],
    alga_storage_page_fields[],
    alga_storage_write_fields[],
    alga_tenant_user_fields[],
    alga_clients_list_reply_fields[],
    alga_clients_get_reply_fields[],
    alga_http_fetch_reply_fields[],
    alga_invoicing_create_manual_invoice_reply_fields[],
    alga_secrets_get_reply_fields[],
    alga_secrets_list_keys_reply_fields[],
    alga_services_list_reply_fields[],
    alga_services_get_reply_fields[],
    alga_storage_get_reply_fields[],
    alga_storage_put_reply_fields[],
    alga_storage_list_reply_fields[],
    alga_ui_proxy_call_route_reply_fields[],
    alga_user_get_reply_fields[];

/* ---- End of them ---- */

#endif
