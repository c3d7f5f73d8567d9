/* A guest for tests of the SDK on the runner: what it makes of messages, and its host calls. Bodies are MessagePack.
 *
 * POST /value                the value, written again     422 when it is refused
 * POST /reply                {ok} or {err} as the SDK reads the reply
 * POST /request              the request's members as the SDK reads them
 * POST /response             the response as the SDK writes it
 * POST /call/<operation>     the host call's request as the SDK writes it
 * POST /query?NAME=VALUE&..  the value of the query's `payload`; 404 when it is absent
 * POST /header               the header that the body names; 404 when it is absent
 * POST /problem              a problem whose message is the body
 * POST /perform/<operation>  the host call itself: {ok} or {err}
 * POST /fail, /panic         end the handler with an error, with the guest's own message
 */

#include "alga.h"

#define TEXT(literal) ((alga_text){literal, sizeof literal - 1})

static alga_response answer(void (*write)(alga_writer *, const void *), const void *from) {
  return (alga_response){.status = 200, .body = alga_written(write, from)};
}

/* ---- Messages ---- */

static void copy(alga_writer *writer, alga_reader *reader) {
  alga_value value = alga_read(reader);
  size_t members = value.count;
  switch (value.kind) {
  case ALGA_NIL:
    alga_write_nil(writer);
    break;
  case ALGA_BOOL:
    alga_write_bool(writer, value.boolean);
    break;
  case ALGA_UINT:
    alga_write_uint(writer, (unsigned long long)value.integer);
    break;
  case ALGA_INT:
    alga_write_int(writer, value.integer);
    break;
  case ALGA_DOUBLE:
    alga_write_double(writer, value.number);
    break;
  case ALGA_TEXT:
    alga_write_text(writer, alga_as_text(value.bytes));
    break;
  case ALGA_BYTES:
    alga_write_bytes(writer, value.bytes);
    break;
  case ALGA_ARRAY:
    alga_write_array(writer, members);
    break;
  default:
    alga_write_map(writer, members);
    members *= 2;
  }
  while (members--)
    copy(writer, reader);
}

static void write_again(alga_writer *writer, const void *from) {
  const alga_document *document = from;
  copy(writer, &(alga_reader){document->at, document->at + document->length});
}

static alga_response value(alga_document body) {
  alga_fault fault = alga_check(body);
  if (fault == ALGA_FINE)
    return answer(write_again, &body);
  return alga_problem(422, fault == ALGA_BREACH ? TEXT("breach") : TEXT("refused"), TEXT("It breaks a rule."));
}

static void write_error(alga_writer *writer, alga_error error) {
  alga_write_map(writer, 2u + (error.field_errors.at != 0) + (error.retry_after_ms != 0) + error.retryable);
  alga_write_text(writer, TEXT("code"));
  alga_write_text(writer, alga_code_name(error.code));
  alga_write_text(writer, TEXT("message"));
  alga_write_text(writer, error.message);
  if (error.field_errors.at) {
    alga_write_text(writer, TEXT("fieldErrors"));
    alga_put(writer, error.field_errors.at, error.field_errors.length);
  }
  if (error.retry_after_ms) {
    alga_write_text(writer, TEXT("retryAfterMs"));
    alga_write_int(writer, error.retry_after_ms);
  }
  if (error.retryable) {
    alga_write_text(writer, TEXT("retryable"));
    alga_write_bool(writer, true);
  }
}

/* Begin {ok: ...}, whose value is the caller's to write; or write {err} whole. */
static bool begins_ok(alga_writer *writer, alga_error error) {
  alga_write_map(writer, 1);
  alga_write_text(writer, error.code == ALGA_OK ? TEXT("ok") : TEXT("err"));
  if (error.code != ALGA_OK)
    write_error(writer, error);
  return error.code == ALGA_OK;
}

static void write_reply(alga_writer *writer, const void *body) {
  alga_document ok;
  if (begins_ok(writer, alga_decode_reply(*(const alga_document *)body, &ok)))
    alga_put(writer, ok.at, ok.length);
}

static void write_headers(alga_writer *writer, const alga_http *http) {
  alga_write_array(writer, http->header_count);
  for (size_t i = 0; i < http->header_count; i++) {
    alga_write_map(writer, 2);
    alga_write_text(writer, TEXT("name"));
    alga_write_text(writer, http->headers[i].name);
    alga_write_text(writer, TEXT("value"));
    alga_write_text(writer, http->headers[i].value);
  }
}

static void write_request(alga_writer *writer, const void *body) {
  alga_request request;
  if (!alga_decode_request(*(const alga_document *)body, &request))
    alga_fail(TEXT("This is no request."));
  alga_write_map(writer, request.user ? 3 : 2);
  alga_write_text(writer, TEXT("context"));
  alga_write_fields(writer, alga_context_fields, &request.context);
  alga_write_text(writer, TEXT("http"));
  alga_write_map(writer, 4);
  alga_write_text(writer, TEXT("method"));
  alga_write_text(writer, request.http.method);
  alga_write_text(writer, TEXT("url"));
  alga_write_text(writer, request.http.url);
  alga_write_text(writer, TEXT("headers"));
  write_headers(writer, &request.http);
  alga_write_text(writer, TEXT("body"));
  if (request.http.body.at)
    alga_write_bytes(writer, request.http.body);
  else
    alga_write_nil(writer);
  if (request.user) {
    alga_write_text(writer, TEXT("user"));
    alga_write_fields(writer, alga_user_fields, request.user);
  }
}

static void write_response(alga_writer *writer, const void *body) {
  alga_document given = *(const alga_document *)body, list = alga_member(given, "headers");
  alga_document number = alga_member(given, "status"), bytes = alga_member(given, "body");
  alga_value status = alga_read(&(alga_reader){number.at, number.at + number.length});
  alga_value content = alga_read(&(alga_reader){bytes.at, bytes.at + bytes.length});
  alga_reader reader = {list.at, list.at + list.length};
  size_t count = alga_read(&reader).count;
  alga_header *headers = alga_alloc(count * sizeof *headers);
  for (size_t i = 0; i < count; i++) {
    alga_document header = alga_skip(&reader);
    headers[i] = (alga_header){alga_text_member(header, "name"), alga_text_member(header, "value")};
  }
  alga_response response = {
      .status = status.kind == ALGA_DOUBLE ? (int)status.number : (int)status.integer,
      .headers = headers,
      .header_count = count,
      .body = content.kind == ALGA_BYTES ? content.bytes : (alga_bytes){0},
  };
  alga_write_response(writer, &response);
}

static void write_create(alga_writer *writer, const void *body) {
  alga_create_input input = {0};
  alga_read_fields(*(const alga_document *)body, alga_create_fields, &input);
  alga_write_fields(writer, alga_create_fields, &input);
}

static void write_update(alga_writer *writer, const void *body) {
  alga_update_input input = {0};
  alga_read_fields(*(const alga_document *)body, alga_update_fields, &input);
  alga_write_fields(writer, alga_update_fields, &input);
}

/* ---- Host calls ---- */

static void write_list(alga_writer *writer, const void *from) {
  const alga_schedule_list *list = from;
  begins_ok(writer, list->error);
  alga_write_array(writer, list->count);
  for (size_t i = 0; i < list->count; i++)
    alga_write_fields(writer, alga_schedule_fields, &list->items[i]);
}

static void write_found(alga_writer *writer, const void *from) {
  const alga_schedule_found *found = from;
  if (!begins_ok(writer, found->error))
    return;
  if (found->schedule)
    alga_write_fields(writer, alga_schedule_fields, found->schedule);
  else
    alga_write_nil(writer);
}

static void write_endpoints(alga_writer *writer, const void *from) {
  const alga_endpoint_list *list = from;
  begins_ok(writer, list->error);
  alga_write_array(writer, list->count);
  for (size_t i = 0; i < list->count; i++)
    alga_write_fields(writer, alga_endpoint_fields, &list->items[i]);
}

static void write_context(alga_writer *writer, const void *from) {
  const alga_context_result *result = from;
  if (begins_ok(writer, result->error))
    alga_write_fields(writer, alga_context_fields, &result->context);
}

static void write_created(alga_writer *writer, const void *from) {
  const alga_schedule_result *result = from;
  if (!begins_ok(writer, result->host_error))
    return;
  alga_write_map(writer, 1);
  alga_write_text(writer, TEXT("scheduleId"));
  alga_write_text(writer, result->schedule_id);
}

static void write_changed(alga_writer *writer, const void *from) {
  if (begins_ok(writer, ((const alga_schedule_result *)from)->host_error))
    alga_write_nil(writer);
}

struct performed {
  alga_error error;
  const alga_field *fields;
  const void *reply;
  const char *member; /* the only one */
};

static void write_reply_fields(alga_writer *writer, const void *from) {
  const struct performed *performed = from;
  alga_write_fields(writer, performed->fields, performed->reply);
}

static void write_performed(alga_writer *writer, const void *from) {
  const struct performed *performed = from;
  if (!begins_ok(writer, performed->error))
    return;
  alga_document whole = performed->fields ? alga_written(write_reply_fields, from) : (alga_document){0};
  alga_document part = performed->member ? alga_member(whole, performed->member) : whole;
  if (part.at)
    alga_put(writer, part.at, part.length);
  else
    alga_write_nil(writer);
}

static alga_response performed(alga_error error, const alga_field *fields, const void *reply, const char *member) {
  return answer(write_performed, &(struct performed){error, fields, reply, member});
}

#include "perform.h"

static alga_response perform(alga_text operation, alga_document input) {
  alga_text id = alga_text_member(input, "scheduleId");
  if (alga_equals(operation, "scheduler.list")) {
    alga_schedule_list list = alga_scheduler_list();
    return list.error.code ? alga_error_response(list.error) : answer(write_list, &list);
  }
  if (alga_equals(operation, "scheduler.get")) {
    alga_schedule_found found = alga_scheduler_get(id);
    return answer(write_found, &found);
  }
  if (alga_equals(operation, "scheduler.create")) {
    alga_create_input create = {0};
    alga_read_fields(input, alga_create_fields, &create);
    alga_schedule_result result = alga_scheduler_create(&create);
    return answer(write_created, &result);
  }
  if (alga_equals(operation, "scheduler.update")) {
    alga_update_input update = {0};
    alga_read_fields(input, alga_update_fields, &update);
    alga_schedule_result result = alga_scheduler_update(&update);
    return answer(write_changed, &result);
  }
  if (alga_equals(operation, "scheduler.delete")) {
    alga_schedule_result result = alga_scheduler_delete(id);
    return answer(write_changed, &result);
  }
  if (alga_equals(operation, "scheduler.get-endpoints")) {
    alga_endpoint_list list = alga_scheduler_get_endpoints();
    return list.error.code ? alga_error_response(list.error) : answer(write_endpoints, &list);
  }
  if (!alga_equals(operation, "context.get"))
    return perform_others(operation, input);
  alga_context_result context = alga_context_get();
  return answer(write_context, &context);
}

static bool after(alga_text path, alga_text prefix, alga_text *rest) {
  *rest = (alga_text){path.at + prefix.length, path.length - prefix.length};
  for (size_t i = 0; i < prefix.length; i++)
    if (i == path.length || path.at[i] != prefix.at[i])
      return false;
  return true;
}

alga_response alga_handler(const alga_request *request) {
  alga_document body = request->http.body;
  alga_text path = alga_path(request), operation;
  if (alga_equals(path, "/value"))
    return value(body);
  if (alga_equals(path, "/reply"))
    return answer(write_reply, &body);
  if (alga_equals(path, "/request"))
    return answer(write_request, &body);
  if (alga_equals(path, "/response"))
    return answer(write_response, &body);
  if (alga_equals(path, "/call/scheduler.create"))
    return answer(write_create, &body);
  if (alga_equals(path, "/call/scheduler.update"))
    return answer(write_update, &body);
  if (alga_equals(path, "/query")) {
    alga_text found = alga_query(request, "payload");
    return found.at ? alga_text_response(200, found) : alga_problem(404, TEXT("not-found"), path);
  }
  if (alga_equals(path, "/header")) {
    char *name = alga_alloc(body.length + 1);
    for (size_t i = 0; i < body.length; i++)
      name[i] = (char)body.at[i];
    name[body.length] = 0;
    alga_text found = alga_header_of(request, name);
    return found.at ? alga_text_response(200, found) : alga_problem(404, TEXT("not-found"), path);
  }
  if (alga_equals(path, "/problem"))
    return alga_problem(422, TEXT("bad"), alga_as_text(body));
  if (after(path, TEXT("/perform/"), &operation))
    return perform(operation, body);
  if (alga_equals(path, "/fail"))
    return alga_error_response((alga_error){.code = ALGA_UNAVAILABLE, .message = TEXT("The server does not answer.")});
  alga_fail(TEXT("The guest gives up: 東京."));
}
