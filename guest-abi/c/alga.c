#include "alga.h"

/* ---- Memory and text ---- */

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define WEAK __attribute__((weak))
#define PAGE 65536u

IMPORT("alga:abi", "fail") void host_fail(const void *at, size_t length);

/* Compilers call these; a C library's take precedence. */
WEAK __attribute__((no_builtin)) void *memcpy(void *restrict to, const void *restrict from, size_t length) {
  for (size_t i = 0; i < length; i++)
    ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
  return to;
}

WEAK __attribute__((no_builtin)) void *memset(void *at, int value, size_t length) {
  for (size_t i = 0; i < length; i++)
    ((unsigned char *)at)[i] = (unsigned char)value;
  return at;
}

static bool same(const void *a, const void *b, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (((const unsigned char *)a)[i] != ((const unsigned char *)b)[i])
      return false;
  return true;
}

static bool same_text(alga_text a, alga_text b) {
  return a.length == b.length && same(a.at, b.at, a.length);
}

alga_text alga_string(const char *terminated) {
  size_t length = 0;
  while (terminated[length])
    length++;
  return (alga_text){terminated, length};
}

bool alga_equals(alga_text text, const char *terminated) {
  return text.at && same_text(text, alga_string(terminated));
}

alga_text alga_as_text(alga_bytes bytes) {
  return (alga_text){(const char *)bytes.at, bytes.length};
}

alga_bytes alga_as_bytes(alga_text text) {
  return (alga_bytes){(const unsigned char *)text.at, text.length};
}

_Noreturn void alga_fail(alga_text message) {
  host_fail(message.at, message.length);
  __builtin_trap();
}

WEAK void *alga_alloc(size_t size) {
  extern unsigned char __heap_base; /* the linker's: where the data end */
  static size_t free;
  size_t start = ((free ? free : (size_t)&__heap_base) + 15) & ~(size_t)15;
  size_t end = (size_t)__builtin_wasm_memory_size(0) * PAGE;
  if (size > (size_t)-1 - start)
    alga_fail(alga_string("The guest asks for more memory than there can be."));
  if (start + size > end && __builtin_wasm_memory_grow(0, (start + size - end - 1) / PAGE + 1) == (size_t)-1)
    alga_fail(alga_string("The guest is out of memory."));
  free = start + size;
  return (void *)start;
}

static void *array_of(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total))
    alga_fail(alga_string("The guest asks for more memory than there can be."));
  return alga_alloc(total);
}

/* ---- Writing ---- */

void alga_put(alga_writer *writer, const void *at, size_t length) {
  if (writer->length <= writer->capacity && length <= writer->capacity - writer->length && length)
    memcpy(writer->at + writer->length, at, length);
  writer->length += length;
}

/* A byte, then the lowest `size` bytes of `bits`, highest first. */
static void put_head(alga_writer *writer, int head, unsigned long long bits, int size) {
  unsigned char bytes[9] = {(unsigned char)head};
  for (int i = 0; i < size; i++)
    bytes[1 + i] = (unsigned char)(bits >> 8 * (size - 1 - i));
  alga_put(writer, bytes, 1 + (size_t)size);
}

/* The shortest of the heads for 8, 16 and 32 bits, where `head` is the first that there is. */
static void put_length(alga_writer *writer, int head8, int head16, size_t length) {
  if (head8 && length < 256)
    put_head(writer, head8, length, 1);
  else if (length < 65536)
    put_head(writer, head16, length, 2);
  else
    put_head(writer, head16 + 1, length, 4);
}

void alga_write_nil(alga_writer *writer) { put_head(writer, 0xc0, 0, 0); }

void alga_write_bool(alga_writer *writer, bool value) { put_head(writer, value ? 0xc3 : 0xc2, 0, 0); }

void alga_write_uint(alga_writer *writer, unsigned long long value) {
  if (value < 128)
    put_head(writer, (int)value, 0, 0);
  else if (value >> 32)
    put_head(writer, 0xcf, value, 8);
  else if (value >> 16)
    put_head(writer, 0xce, value, 4);
  else
    put_head(writer, value < 256 ? 0xcc : 0xcd, value, value < 256 ? 1 : 2);
}

void alga_write_int(alga_writer *writer, long long value) {
  unsigned long long bits = (unsigned long long)value;
  if (value >= 0)
    alga_write_uint(writer, bits);
  else if (value >= -32)
    put_head(writer, (int)(bits & 0xff), 0, 0);
  else if (value >= -128)
    put_head(writer, 0xd0, bits, 1);
  else if (value >= -32768)
    put_head(writer, 0xd1, bits, 2);
  else
    put_head(writer, value >= -2147483648LL ? 0xd2 : 0xd3, bits, value >= -2147483648LL ? 4 : 8);
}

void alga_write_double(alga_writer *writer, double value) {
  unsigned long long bits;
  memcpy(&bits, &value, sizeof bits);
  put_head(writer, 0xcb, bits, 8);
}

void alga_write_text(alga_writer *writer, alga_text text) {
  if (text.length < 32)
    put_head(writer, 0xa0 | (int)text.length, 0, 0);
  else
    put_length(writer, 0xd9, 0xda, text.length);
  alga_put(writer, text.at, text.length);
}

void alga_write_bytes(alga_writer *writer, alga_bytes bytes) {
  put_length(writer, 0xc4, 0xc5, bytes.length);
  alga_put(writer, bytes.at, bytes.length);
}

void alga_write_array(alga_writer *writer, size_t count) {
  if (count < 16)
    put_head(writer, 0x90 | (int)count, 0, 0);
  else
    put_length(writer, 0, 0xdc, count);
}

void alga_write_map(alga_writer *writer, size_t count) {
  if (count < 16)
    put_head(writer, 0x80 | (int)count, 0, 0);
  else
    put_length(writer, 0, 0xde, count);
}

/* ---- Reading ---- */

static unsigned long long take(alga_reader *reader, size_t size, bool *broken) {
  unsigned long long bits = 0;
  if ((size_t)(reader->end - reader->at) < size) {
    *broken = true;
    return 0;
  }
  while (size--)
    bits = bits << 8 | *reader->at++;
  return bits;
}

static long long extended(unsigned long long bits, size_t size) {
  unsigned shift = 64 - 8 * (unsigned)size;
  return (long long)(bits << shift) >> shift;
}

static alga_value integer(long long value, bool positive) {
  return (alga_value){.kind = positive || value >= 0 ? ALGA_UINT : ALGA_INT, .integer = value};
}

alga_value alga_read(alga_reader *reader) {
  bool broken = false;
  alga_value value = {.kind = ALGA_BROKEN};
  unsigned head = (unsigned)take(reader, 1, &broken);
  size_t size = (size_t)1 << (head & 3); /* of the number that follows, for most heads */
  size_t length = 0;
  if (broken || head == 0xc1)
    return value;
  if (head < 0x80 || head >= 0xe0)
    return integer((signed char)head, false);
  if (head < 0xa0) {
    value.kind = head < 0x90 ? ALGA_MAP : ALGA_ARRAY;
    value.count = head & 15;
  } else if (head < 0xc0) {
    value.kind = ALGA_TEXT;
    length = head & 31;
  } else if (head == 0xc0 || head == 0xc2 || head == 0xc3) {
    value.kind = head == 0xc0 ? ALGA_NIL : ALGA_BOOL;
    value.boolean = head == 0xc3;
  } else if (head <= 0xc6) {
    value.kind = ALGA_BYTES;
    length = (size_t)take(reader, (size_t)1 << (head - 0xc4), &broken);
  } else if (head <= 0xc9) {
    value.kind = ALGA_EXTENSION;
    length = (size_t)take(reader, (size_t)1 << (head - 0xc7), &broken);
    take(reader, 1, &broken);
  } else if (head == 0xca) {
    unsigned bits = (unsigned)take(reader, 4, &broken);
    float number;
    memcpy(&number, &bits, sizeof number);
    value.kind = ALGA_DOUBLE;
    value.number = number;
  } else if (head == 0xcb) {
    unsigned long long bits = take(reader, 8, &broken);
    memcpy(&value.number, &bits, sizeof value.number);
    value.kind = ALGA_DOUBLE;
  } else if (head <= 0xcf) {
    value = integer((long long)take(reader, size, &broken), true);
  } else if (head <= 0xd3) {
    value = integer(extended(take(reader, size, &broken), size), false);
  } else if (head <= 0xd8) {
    value.kind = ALGA_EXTENSION;
    length = (size_t)1 << (head - 0xd4);
    take(reader, 1, &broken);
  } else if (head <= 0xdb) {
    value.kind = ALGA_TEXT;
    length = (size_t)take(reader, (size_t)1 << (head - 0xd9), &broken);
  } else {
    value.kind = head <= 0xdd ? ALGA_ARRAY : ALGA_MAP;
    value.count = (size_t)take(reader, head & 1 ? 4 : 2, &broken);
  }
  if (broken || (size_t)(reader->end - reader->at) < length)
    return (alga_value){.kind = ALGA_BROKEN};
  value.bytes = (alga_bytes){reader->at, length};
  reader->at += length;
  return value;
}

static alga_reader reader_of(alga_document document) {
  return (alga_reader){document.at, document.at + document.length};
}

alga_document alga_skip(alga_reader *reader) {
  const unsigned char *start = reader->at;
  for (unsigned long long left = 1; left; left--) { /* no recursion: nesting takes no stack */
    alga_value value = alga_read(reader);
    if (value.kind == ALGA_BROKEN)
      return (alga_document){0};
    left += value.kind == ALGA_MAP ? 2ull * value.count : value.count;
  }
  return (alga_document){start, (size_t)(reader->at - start)};
}

alga_document alga_member(alga_document map, const char *key) {
  alga_reader reader = reader_of(map);
  alga_value head = alga_read(&reader);
  for (size_t left = head.kind == ALGA_MAP ? head.count : 0; left; left--) {
    alga_value name = alga_read(&reader);
    alga_document value = alga_skip(&reader);
    if (!value.at)
      break;
    if (name.kind == ALGA_TEXT && alga_equals(alga_as_text(name.bytes), key))
      return value;
  }
  return (alga_document){0};
}

alga_text alga_text_member(alga_document map, const char *key) {
  alga_reader reader = reader_of(alga_member(map, key));
  alga_value value = alga_read(&reader);
  return value.kind == ALGA_TEXT ? alga_as_text(value.bytes) : (alga_text){0};
}

static bool is_utf8(alga_bytes text) {
  for (size_t i = 0; i < text.length;) {
    unsigned lead = text.at[i++], more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    unsigned point = more ? lead & (0x3f >> more) : lead;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || more > text.length - i)
      return false;
    for (unsigned left = more; left; left--, i++) {
      if ((text.at[i] & 0xc0) != 0x80)
        return false;
      point = point << 6 | (text.at[i] & 0x3f);
    }
    if ((more == 2 && point < 0x800) || (more == 3 && (point < 0x10000 || point > 0x10ffff)) || point >> 11 == 0x1b)
      return false;
  }
  return true;
}

/* Whether `key` is in the table; it is from now on. */
static bool seen(alga_text *slots, size_t mask, alga_text key) {
  unsigned hash = 2166136261u;
  for (size_t i = 0; i < key.length; i++)
    hash = (hash ^ (unsigned char)key.at[i]) * 16777619u;
  for (size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    if (!slots[slot].at) {
      slots[slot] = key;
      return false;
    }
    if (same_text(slots[slot], key))
      return true;
  }
}

static bool keeps_rules(alga_reader *reader, unsigned depth) {
  alga_value value = alga_read(reader);
  if (value.kind == ALGA_EXTENSION || (value.kind == ALGA_TEXT && !is_utf8(value.bytes)))
    return false;
  if (value.kind != ALGA_ARRAY && value.kind != ALGA_MAP)
    return true;
  if (depth == 32)
    return false;
  if (value.kind == ALGA_ARRAY) {
    for (size_t left = value.count; left; left--)
      if (!keeps_rules(reader, depth + 1))
        return false;
    return true;
  }
  alga_text few[32] = {0}, *slots = few;
  size_t size = 32;
  while (size < 2 * value.count)
    size *= 2;
  if (size > 32)
    slots = memset(array_of(size, sizeof *slots), 0, size * sizeof *slots);
  for (size_t left = value.count; left; left--) {
    alga_value key = alga_read(reader);
    if (key.kind != ALGA_TEXT || !is_utf8(key.bytes) || seen(slots, size - 1, alga_as_text(key.bytes)))
      return false;
    if (!keeps_rules(reader, depth + 1))
      return false;
  }
  return true;
}

alga_fault alga_check(alga_document document) {
  alga_reader reader = reader_of(document);
  if (!alga_skip(&reader).at || reader.at != reader.end)
    return ALGA_BREACH;
  reader = reader_of(document);
  return keeps_rules(&reader, 0) ? ALGA_FINE : ALGA_REFUSED;
}

alga_bytes alga_written(void (*write)(alga_writer *writer, const void *from), const void *from) {
  alga_writer writer = {0};
  write(&writer, from); /* measures */
  writer = (alga_writer){alga_alloc(writer.length), writer.length, 0};
  write(&writer, from);
  return (alga_bytes){writer.at, writer.length};
}

/* ---- The documents ---- */

enum {
  TEXT,
  BOOL,
  SWITCH, /* of a boolean that may be absent */
  INT,    /* 0 is absent */
  WHOLE,
  INTEGER, /* of a WHOLE that may be absent */
  DOUBLE,
  DECIMAL, /* of a DOUBLE that may be absent */
  DOCUMENT,
  BYTES,
  LIST, /* of structs: where they begin, then how many there are */
  TEXTS,
  RECORD, /* a pointer to a struct */
  CLEAR,
};

#define FIELD(type, kind, name, member) {name, kind, false, offsetof(type, member), 0, 0}
#define END {0}

const alga_field alga_schedule_fields[] = {
#define OF(kind, name, member) FIELD(alga_schedule, kind, name, member)
    OF(TEXT, "id", id), OF(TEXT, "endpointPath", endpoint_path), OF(TEXT, "endpointMethod", endpoint_method),
    OF(TEXT, "name", name), OF(TEXT, "cron", cron), OF(TEXT, "timezone", timezone), OF(BOOL, "enabled", enabled),
    OF(DOCUMENT, "payload", payload), OF(TEXT, "lastRunAt", last_run_at), OF(TEXT, "lastRunStatus", last_run_status),
    OF(TEXT, "lastError", last_error), OF(TEXT, "createdAt", created_at), END};
#undef OF

const alga_field alga_endpoint_fields[] = {
#define OF(kind, name, member) FIELD(alga_endpoint, kind, name, member)
    OF(TEXT, "id", id), OF(TEXT, "method", method), OF(TEXT, "path", path), OF(TEXT, "handler", handler),
    OF(BOOL, "schedulable", schedulable), END};
#undef OF

const alga_field alga_context_fields[] = {
#define OF(kind, name, member) FIELD(alga_context, kind, name, member)
    OF(TEXT, "requestId", request_id), OF(TEXT, "tenantId", tenant_id), OF(TEXT, "extensionId", extension_id),
    OF(TEXT, "installId", install_id), OF(TEXT, "versionId", version_id), OF(DOCUMENT, "config", config),
    OF(TEXT, "trigger", trigger), OF(TEXT, "scheduleId", schedule_id), OF(TEXT, "nominalTime", nominal_time),
    OF(TEXT, "scheduleName", schedule_name), OF(TEXT, "scheduleTimezone", schedule_timezone),
    OF(INT, "attempt", attempt), OF(TEXT, "startedAt", started_at), END};
#undef OF

const alga_field alga_user_fields[] = {
#define OF(kind, name, member) FIELD(alga_user, kind, name, member)
    OF(TEXT, "userId", user_id), OF(TEXT, "userEmail", user_email), OF(TEXT, "userName", user_name),
    OF(TEXT, "userType", user_type), OF(TEXT, "clientName", client_name), OF(TEXT, "clientId", client_id),
    OF(DOCUMENT, "additionalFields", additional_fields), END};
#undef OF

#define INPUT                                                                                                           \
  OF(TEXT, "endpoint", endpoint), OF(TEXT, "cron", cron), OF(TEXT, "timezone", timezone),                               \
      OF(SWITCH, "enabled", enabled), OF(TEXT, "missedRuns", missed_runs), OF(INT, "maxAttempts", max_attempts),        \
      OF(INT, "retryDelaySeconds", retry_delay_seconds), OF(INT, "retryFactor", retry_factor),                          \
      OF(TEXT, "name", name)
#define PAYLOAD OF(DOCUMENT, "payload", payload)
#define WINDOW OF(INT, "missedWindowSeconds", missed_window_seconds)

const alga_field alga_create_fields[] = {
#define OF(kind, name, member) FIELD(alga_create_input, kind, name, member)
    INPUT, PAYLOAD, WINDOW, OF(TEXT, "idempotencyKey", idempotency_key), END};
#undef OF

const alga_field alga_update_fields[] = {
#define OF(kind, name, member) FIELD(alga_update_input, kind, name, member)
    OF(TEXT, "scheduleId", schedule_id), INPUT, OF(CLEAR, "name", clear_name), PAYLOAD,
    OF(CLEAR, "payload", clear_payload), WINDOW, OF(CLEAR, "missedWindowSeconds", clear_missed_window_seconds), END};
#undef OF

struct list {
  const char *at;
  size_t count;
};

static bool is_there(const alga_field *field, const void *from) {
  const void *at = (const char *)from + field->offset;
  switch (field->kind) {
  case BOOL:
  case WHOLE:
  case DOUBLE:
    return true;
  case INTEGER:
    return ((const alga_integer *)at)->given;
  case DECIMAL:
    return ((const alga_decimal *)at)->given;
  case LIST:
  case TEXTS:
    return field->required || ((const struct list *)at)->at;
  case SWITCH:
    return *(const alga_switch *)at != ALGA_UNSET;
  case INT:
    return *(const long long *)at != 0;
  case CLEAR: /* the field before it is the value; a value wins */
    return *(const bool *)at && !is_there(field - 1, from);
  default:
    return ((const alga_bytes *)at)->at;
  }
}

static void write_list(alga_writer *writer, const alga_field *field, const struct list *list) {
  alga_write_array(writer, list->count);
  for (size_t i = 0; i < list->count; i++)
    if (field->kind == LIST)
      alga_write_fields(writer, field->of, list->at + i * field->size);
    else
      alga_write_text(writer, ((const alga_text *)list->at)[i]);
}

void alga_write_fields(alga_writer *writer, const alga_field *fields, const void *from) {
  size_t count = 0;
  for (const alga_field *field = fields; field->name; field++)
    count += is_there(field, from);
  alga_write_map(writer, count);
  for (const alga_field *field = fields; field->name; field++) {
    const void *at = (const char *)from + field->offset;
    if (!is_there(field, from))
      continue;
    alga_write_text(writer, alga_string(field->name));
    if (field->kind == TEXT)
      alga_write_text(writer, *(const alga_text *)at);
    else if (field->kind == BOOL)
      alga_write_bool(writer, *(const bool *)at);
    else if (field->kind == SWITCH)
      alga_write_bool(writer, *(const alga_switch *)at == ALGA_ON);
    else if (field->kind == INT || field->kind == WHOLE)
      alga_write_int(writer, *(const long long *)at);
    else if (field->kind == INTEGER)
      alga_write_int(writer, ((const alga_integer *)at)->value);
    else if (field->kind == DOUBLE)
      alga_write_double(writer, *(const double *)at);
    else if (field->kind == DECIMAL)
      alga_write_double(writer, ((const alga_decimal *)at)->value);
    else if (field->kind == LIST || field->kind == TEXTS)
      write_list(writer, field, at);
    else if (field->kind == RECORD)
      alga_write_fields(writer, field->of, *(const void *const *)at);
    else if (field->kind == BYTES)
      alga_write_bytes(writer, *(const alga_bytes *)at);
    else if (field->kind == DOCUMENT)
      alga_put(writer, ((const alga_bytes *)at)->at, ((const alga_bytes *)at)->length);
    else
      alga_write_nil(writer);
  }
}

static long long whole(alga_value value) {
  if (value.kind == ALGA_DOUBLE && value.number >= -0x1p53 && value.number <= 0x1p53)
    return (long long)value.number;
  return value.kind == ALGA_UINT || value.kind == ALGA_INT ? value.integer : 0;
}

static bool is_number(alga_value value) {
  return value.kind == ALGA_UINT || value.kind == ALGA_INT || value.kind == ALGA_DOUBLE;
}

static double number(alga_value value) {
  if (value.kind == ALGA_UINT)
    return (double)(unsigned long long)value.integer;
  return value.kind == ALGA_INT ? (double)value.integer : value.number;
}

static void *read_list(alga_document list, const alga_field *fields, size_t size, size_t *count);

static void *zeroed(size_t size) { return memset(alga_alloc(size), 0, size); }

static void read_texts(alga_reader reader, size_t count, struct list *list) {
  alga_text *texts = array_of(count, sizeof *texts);
  for (size_t i = 0; i < count; i++)
    texts[i] = alga_as_text(alga_read(&reader).bytes); /* of anything but text it is absent */
  *list = (struct list){(const char *)texts, count};
}

/* What points elsewhere. */
static void read_part(const alga_field *field, alga_document document, alga_value value, void *at) {
  alga_reader reader = reader_of(document);
  struct list *list = at;
  alga_read(&reader);
  if (field->kind == LIST && value.kind == ALGA_ARRAY)
    list->at = read_list(document, field->of, field->size, &list->count);
  else if (field->kind == TEXTS && value.kind == ALGA_ARRAY)
    read_texts(reader, value.count, list);
  else if (field->kind == RECORD && value.kind == ALGA_MAP)
    alga_read_fields(document, field->of, *(void **)at = zeroed(field->size));
}

static void read_field(const alga_field *field, alga_document document, void *at) {
  alga_reader reader = reader_of(document);
  alga_value value = alga_read(&reader);
  if (field->kind == TEXT && value.kind == ALGA_TEXT)
    *(alga_text *)at = alga_as_text(value.bytes);
  else if (field->kind == BOOL && value.kind == ALGA_BOOL)
    *(bool *)at = value.boolean;
  else if (field->kind == SWITCH && value.kind == ALGA_BOOL)
    *(alga_switch *)at = value.boolean ? ALGA_ON : ALGA_OFF;
  else if (field->kind == INT || field->kind == WHOLE)
    *(long long *)at = whole(value);
  else if (field->kind == INTEGER)
    *(alga_integer *)at = (alga_integer){is_number(value), whole(value)};
  else if (field->kind == DOUBLE)
    *(double *)at = number(value);
  else if (field->kind == DECIMAL)
    *(alga_decimal *)at = (alga_decimal){is_number(value), number(value)};
  else if (field->kind == LIST || field->kind == TEXTS || field->kind == RECORD)
    read_part(field, document, value, at);
  else if (field->kind == BYTES && value.kind == ALGA_BYTES)
    *(alga_bytes *)at = value.bytes;
  else if (field->kind == DOCUMENT && value.kind != ALGA_NIL)
    *(alga_document *)at = document;
  else if (field->kind == CLEAR)
    *(bool *)at = value.kind == ALGA_NIL;
}

void alga_read_fields(alga_document map, const alga_field *fields, void *to) {
  alga_reader reader = reader_of(map);
  alga_value head = alga_read(&reader);
  for (size_t left = head.kind == ALGA_MAP ? head.count : 0; left; left--) {
    alga_value name = alga_read(&reader);
    alga_document value = alga_skip(&reader);
    if (!value.at)
      return;
    for (const alga_field *field = fields; field->name; field++)
      if (name.kind == ALGA_TEXT && alga_equals(alga_as_text(name.bytes), field->name))
        read_field(field, value, (char *)to + field->offset);
  }
}

/* The structs of `size` bytes that an array of maps is read into. */
static void *read_list(alga_document list, const alga_field *fields, size_t size, size_t *count) {
  alga_reader reader = reader_of(list);
  alga_value head = alga_read(&reader);
  *count = head.kind == ALGA_ARRAY ? head.count : 0;
  char *items = memset(array_of(*count, size), 0, *count * size);
  for (size_t i = 0; i < *count; i++)
    alga_read_fields(alga_skip(&reader), fields, items + i * size);
  return items;
}

/* ---- The request and its response ---- */

static const alga_field header_fields[] = {FIELD(alga_header, TEXT, "name", name),
                                           FIELD(alga_header, TEXT, "value", value), END};
static const alga_field http_fields[] = {FIELD(alga_http, TEXT, "method", method), FIELD(alga_http, TEXT, "url", url),
                                         FIELD(alga_http, BYTES, "body", body), END};

bool alga_decode_request(alga_document document, alga_request *request) {
  alga_document http = alga_member(document, "http"), user = alga_member(document, "user");
  *request = (alga_request){0};
  if (alga_check(document) != ALGA_FINE || !http.at)
    return false;
  alga_read_fields(alga_member(document, "context"), alga_context_fields, &request->context);
  alga_read_fields(http, http_fields, &request->http);
  request->http.headers =
      read_list(alga_member(http, "headers"), header_fields, sizeof(alga_header), &request->http.header_count);
  if (user.at && *user.at != 0xc0) {
    alga_user *person = memset(alga_alloc(sizeof *person), 0, sizeof *person);
    alga_read_fields(user, alga_user_fields, person);
    request->user = person;
  }
  return true;
}

void alga_write_response(alga_writer *writer, const alga_response *response) {
  alga_write_map(writer, 3);
  alga_write_text(writer, alga_string("status"));
  alga_write_int(writer, response->status);
  alga_write_text(writer, alga_string("headers"));
  alga_write_array(writer, response->header_count);
  for (size_t i = 0; i < response->header_count; i++)
    alga_write_fields(writer, header_fields, &response->headers[i]);
  alga_write_text(writer, alga_string("body"));
  if (response->body.at)
    alga_write_bytes(writer, response->body);
  else
    alga_write_nil(writer);
}

bool alga_asks(const alga_request *request, const char *method, const char *path) {
  return alga_equals(request->http.method, method) && alga_equals(alga_path(request), path);
}

alga_text alga_path(const alga_request *request) {
  alga_text url = request->http.url;
  size_t length = 0;
  while (length < url.length && url.at[length] != '?')
    length++;
  return (alga_text){url.at, length};
}

static char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? letter | 0x20 : letter; }

static int hex(char digit) {
  char letter = lower(digit);
  return digit >= '0' && digit <= '9' ? digit - '0' : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static alga_text decoded(alga_text text) {
  char *to = alga_alloc(text.length);
  size_t length = 0;
  for (size_t i = 0; i < text.length; i++) {
    char byte = text.at[i] == '+' ? ' ' : text.at[i];
    if (byte == '%' && text.length - i > 2 && hex(text.at[i + 1]) >= 0 && hex(text.at[i + 2]) >= 0) {
      byte = (char)(hex(text.at[i + 1]) << 4 | hex(text.at[i + 2]));
      i += 2;
    }
    to[length++] = byte;
  }
  return (alga_text){to, length};
}

alga_text alga_query(const alga_request *request, const char *name) {
  alga_text url = request->http.url;
  for (size_t start = alga_path(request).length + 1, end; start <= url.length; start = end + 1) {
    size_t equals = start;
    while (equals < url.length && url.at[equals] != '=' && url.at[equals] != '&')
      equals++;
    for (end = equals; end < url.length && url.at[end] != '&';)
      end++;
    size_t value = equals < end ? equals + 1 : end;
    if (end > start && alga_equals(decoded((alga_text){url.at + start, equals - start}), name))
      return decoded((alga_text){url.at + value, end - value});
  }
  return (alga_text){0};
}

alga_text alga_header_of(const alga_request *request, const char *name) {
  alga_text wanted = alga_string(name);
  for (size_t i = 0; i < request->http.header_count; i++) {
    alga_text given = request->http.headers[i].name;
    size_t at = 0;
    while (at < given.length && given.length == wanted.length && lower(given.at[at]) == lower(wanted.at[at]))
      at++;
    if (at == wanted.length && given.length == wanted.length)
      return request->http.headers[i].value;
  }
  return (alga_text){0};
}

static alga_response response_of(int status, const alga_header *type, alga_bytes body) {
  return (alga_response){status, type, 1, body};
}

alga_response alga_text_response(int status, alga_text text) {
  static const alga_header type = {{"content-type", 12}, {"text/plain; charset=utf-8", 25}};
  return response_of(status, &type, alga_as_bytes(text));
}

alga_response alga_json_response(int status, alga_text json) {
  static const alga_header type = {{"content-type", 12}, {"application/json", 16}};
  return response_of(status, &type, alga_as_bytes(json));
}

static void put_string(alga_writer *writer, const char *terminated) {
  alga_put(writer, terminated, alga_string(terminated).length);
}

void alga_json_text(alga_writer *writer, alga_text text) {
  put_string(writer, "\"");
  for (size_t i = 0; i < text.length; i++) {
    unsigned char byte = (unsigned char)text.at[i];
    if (byte == '"' || byte == '\\')
      put_string(writer, "\\");
    if (byte >= ' ') {
      alga_put(writer, &byte, 1);
    } else {
      put_string(writer, byte < 16 ? "\\u000" : "\\u001");
      alga_put(writer, &"0123456789abcdef"[byte & 15], 1);
    }
  }
  put_string(writer, "\"");
}

static void write_problem(alga_writer *writer, const void *from) {
  const alga_header *problem = from;
  put_string(writer, "{\"error\":{\"code\":");
  alga_json_text(writer, problem->name);
  put_string(writer, ",\"message\":");
  alga_json_text(writer, problem->value);
  put_string(writer, "}}");
}

alga_response alga_problem(int status, alga_text code, alga_text message) {
  alga_header problem = {code, message};
  return alga_json_response(status, alga_as_text(alga_written(write_problem, &problem)));
}

static void write_response(alga_writer *writer, const void *from) { alga_write_response(writer, from); }

IMPORT("alga:abi", "request") size_t host_request(void *at, size_t capacity);
IMPORT("alga:abi", "respond") void host_respond(const void *at, size_t length);

EXPORT("alga_abi_v1") void alga_abi_v1(void) {}

EXPORT("alga_handle") void alga_handle(size_t length) {
  alga_request request;
  unsigned char *at = alga_alloc(length);
  host_request(at, length);
  if (!alga_decode_request((alga_document){at, length}, &request))
    alga_fail(alga_string("The host's request cannot be read."));
  alga_response response = alga_handler(&request);
  alga_bytes answer = alga_written(write_response, &response);
  host_respond(answer.at, answer.length);
}

/* ---- Host calls ---- */

typedef size_t host_call(const void *at, size_t length, void *reply, size_t capacity);

IMPORT("alga:abi", "reply") size_t host_reply(void *at, size_t capacity);
IMPORT("alga:log", "emit") void host_emit(int level, const void *at, size_t length);
IMPORT("alga:context", "get") host_call host_context_get;
IMPORT("alga:scheduler", "list") host_call host_list;
IMPORT("alga:scheduler", "get") host_call host_get;
IMPORT("alga:scheduler", "create") host_call host_create;
IMPORT("alga:scheduler", "update") host_call host_update;
IMPORT("alga:scheduler", "delete") host_call host_delete;
IMPORT("alga:scheduler", "get-endpoints") host_call host_get_endpoints;

static const char *const code_names[] = {
    "ok", "denied", "not-found", "validation-failed", "quota-exceeded", "rate-limited",
    "conflict", "expired", "too-large", "timeout", "unavailable", "unsupported", "internal"};

alga_text alga_code_name(alga_code code) { return alga_string(code_names[code]); }

alga_error alga_decode_reply(alga_document reply, alga_document *ok) {
  static const alga_field fields[] = {FIELD(alga_error, TEXT, "message", message),
                                      FIELD(alga_error, DOCUMENT, "fieldErrors", field_errors),
                                      FIELD(alga_error, INT, "retryAfterMs", retry_after_ms),
                                      FIELD(alga_error, BOOL, "retryable", retryable), END};
  alga_error error = {.code = ALGA_INTERNAL, .message = alga_string("The host's reply cannot be read.")};
  *ok = (alga_document){0};
  if (alga_check(reply) != ALGA_FINE)
    return error;
  alga_document result = alga_member(reply, "ok"), refusal = alga_member(reply, "err");
  if (result.at && alga_read(&(alga_reader){result.at, result.at + result.length}).kind == ALGA_MAP) {
    *ok = result;
    return (alga_error){0};
  }
  alga_read_fields(refusal, fields, &error);
  alga_text code = alga_text_member(refusal, "code");
  for (int i = ALGA_DENIED; i < ALGA_INTERNAL; i++)
    if (alga_equals(code, code_names[i]))
      error.code = (alga_code)i;
  return error;
}

struct input {
  const alga_field *fields;
  const void *from;
};

static void write_input(alga_writer *writer, const void *from) {
  const struct input *input = from;
  alga_write_fields(writer, input->fields, input->from);
}

static alga_error call(host_call *import, const alga_field *fields, const void *from, alga_document *ok) {
  enum { SCRATCH = 4096 }; /* a reply up to this size arrives in one crossing */
  struct input input = {fields, from};
  alga_bytes request = alga_written(write_input, &input);
  unsigned char *at = alga_alloc(SCRATCH);
  size_t length = import(request.at, request.length, at, SCRATCH);
  if (length > SCRATCH) {
    at = alga_alloc(length);
    if (host_reply(at, length) != length)
      alga_fail(alga_string("The host changed its reply."));
  }
  return alga_decode_reply((alga_document){at, length}, ok);
}

static const alga_field nothing[] = {END}, id_fields[] = {{"scheduleId", TEXT, true, 0, 0, 0}, END};

/* A host call whose output is read into the struct at `to`. */
static alga_error perform(host_call *import, const alga_field *fields, const void *from, const alga_field *output,
                          void *to) {
  alga_document ok;
  alga_error error = call(import, fields, from, &ok);
  alga_read_fields(ok, output, to);
  for (; output->name && error.code == ALGA_OK; output++)
    if (output->required && !alga_member(ok, output->name).at)
      error = (alga_error){.code = ALGA_INTERNAL, .message = alga_string("The host's reply lacks a member.")};
  return error;
}

static alga_schedule_result changed(alga_error error, alga_text id) {
  if (error.code == ALGA_OK)
    return (alga_schedule_result){.success = true, .schedule_id = id};
  return (alga_schedule_result){.error = error.message, .field_errors = error.field_errors, .host_error = error};
}

alga_schedule_list alga_scheduler_list(void) {
  alga_document ok;
  alga_schedule_list list = {.error = call(host_list, nothing, 0, &ok)};
  list.items = read_list(alga_member(ok, "schedules"), alga_schedule_fields, sizeof(alga_schedule), &list.count);
  return list;
}

alga_schedule_found alga_scheduler_get(alga_text schedule_id) {
  alga_document ok;
  alga_schedule_found found = {.error = call(host_get, id_fields, &schedule_id, &ok)};
  alga_document schedule = alga_member(ok, "schedule");
  if (schedule.at && *schedule.at != 0xc0) {
    alga_schedule *read = memset(alga_alloc(sizeof *read), 0, sizeof *read);
    alga_read_fields(schedule, alga_schedule_fields, read);
    found.schedule = read;
  }
  return found;
}

alga_schedule_result alga_scheduler_create(const alga_create_input *input) {
  alga_document ok;
  alga_error error = call(host_create, alga_create_fields, input, &ok);
  return changed(error, alga_text_member(ok, "scheduleId"));
}

alga_schedule_result alga_scheduler_update(const alga_update_input *input) {
  alga_document ok;
  return changed(call(host_update, alga_update_fields, input, &ok), input->schedule_id);
}

alga_schedule_result alga_scheduler_delete(alga_text schedule_id) {
  alga_document ok;
  return changed(call(host_delete, id_fields, &schedule_id, &ok), schedule_id);
}

alga_endpoint_list alga_scheduler_get_endpoints(void) {
  alga_document ok;
  alga_endpoint_list list = {.error = call(host_get_endpoints, nothing, 0, &ok)};
  list.items = read_list(alga_member(ok, "endpoints"), alga_endpoint_fields, sizeof(alga_endpoint), &list.count);
  return list;
}

alga_context_result alga_context_get(void) {
  alga_document ok;
  alga_context_result result = {.error = call(host_context_get, nothing, 0, &ok)};
  alga_read_fields(alga_member(ok, "context"), alga_context_fields, &result.context);
  return result;
}

void alga_log(alga_level level, alga_text line) { host_emit(level, line.at, line.length); }

alga_response alga_error_response(alga_error error) {
  bool later = error.code == ALGA_UNAVAILABLE || error.code == ALGA_TIMEOUT || error.code == ALGA_RATE_LIMITED;
  int status = error.code == ALGA_DENIED ? 403 : later ? 503 : 502;
  return alga_problem(status, alga_code_name(error.code), error.message);
}

static void write_result(alga_writer *writer, const void *from) {
  const alga_schedule_result *result = from;
  alga_reader reader = reader_of(result->field_errors);
  put_string(writer, result->success ? "{\"success\":true" : "{\"success\":false");
  if (result->schedule_id.at) {
    put_string(writer, ",\"scheduleId\":");
    alga_json_text(writer, result->schedule_id);
  }
  if (result->error.at) {
    put_string(writer, ",\"error\":");
    alga_json_text(writer, result->error);
  }
  if (result->field_errors.at) {
    put_string(writer, ",\"fieldErrors\":{");
    for (size_t left = alga_read(&reader).count, all = left; left; left--) {
      put_string(writer, left < all ? "," : "");
      alga_json_text(writer, alga_as_text(alga_read(&reader).bytes));
      put_string(writer, ":");
      alga_json_text(writer, alga_as_text(alga_read(&reader).bytes));
    }
    put_string(writer, "}");
  }
  put_string(writer, "}");
}

alga_response alga_result_response(int status, alga_schedule_result result) {
  return alga_json_response(result.success ? status : 409, alga_as_text(alga_written(write_result, &result)));
}

/* ---- Other host calls: generated from guest-abi/schema ---- */

const alga_field alga_client_ref_fields[] = {
    {"clientId", TEXT, true, offsetof(alga_client_ref, client_id), 0, 0},
    END};

const alga_field alga_client_summary_fields[] = {
    {"clientId", TEXT, true, offsetof(alga_client_summary, client_id), 0, 0},
    {"clientName", TEXT, true, offsetof(alga_client_summary, client_name), 0, 0},
    {"clientType", TEXT, false, offsetof(alga_client_summary, client_type), 0, 0},
    {"isInactive", BOOL, true, offsetof(alga_client_summary, is_inactive), 0, 0},
    {"defaultCurrencyCode", TEXT, false, offsetof(alga_client_summary, default_currency_code), 0, 0},
    {"accountManagerId", TEXT, false, offsetof(alga_client_summary, account_manager_id), 0, 0},
    {"accountManagerName", TEXT, false, offsetof(alga_client_summary, account_manager_name), 0, 0},
    {"billingEmail", TEXT, false, offsetof(alga_client_summary, billing_email), 0, 0},
    END};

const alga_field alga_clients_list_input_fields[] = {
    {"search", TEXT, false, offsetof(alga_clients_list_input, search), 0, 0},
    {"includeInactive", SWITCH, false, offsetof(alga_clients_list_input, include_inactive), 0, 0},
    {"page", INTEGER, false, offsetof(alga_clients_list_input, page), 0, 0},
    {"pageSize", INTEGER, false, offsetof(alga_clients_list_input, page_size), 0, 0},
    END};

const alga_field alga_fetch_input_fields[] = {
    {"method", TEXT, true, offsetof(alga_fetch_input, method), 0, 0},
    {"url", TEXT, true, offsetof(alga_fetch_input, url), 0, 0},
    {"headers", LIST, false, offsetof(alga_fetch_input, headers), sizeof(alga_header), header_fields},
    {"body", BYTES, false, offsetof(alga_fetch_input, body), 0, 0},
    {"redirects", INTEGER, false, offsetof(alga_fetch_input, redirects), 0, 0},
    END};

const alga_field alga_manual_invoice_item_input_fields[] = {
    {"serviceId", TEXT, true, offsetof(alga_manual_invoice_item_input, service_id), 0, 0},
    {"quantity", DOUBLE, true, offsetof(alga_manual_invoice_item_input, quantity), 0, 0},
    {"description", TEXT, true, offsetof(alga_manual_invoice_item_input, description), 0, 0},
    {"rate", DOUBLE, true, offsetof(alga_manual_invoice_item_input, rate), 0, 0},
    {"isDiscount", SWITCH, false, offsetof(alga_manual_invoice_item_input, is_discount), 0, 0},
    {"discountType", TEXT, false, offsetof(alga_manual_invoice_item_input, discount_type), 0, 0},
    {"appliesToItemId", TEXT, false, offsetof(alga_manual_invoice_item_input, applies_to_item_id), 0, 0},
    {"appliesToServiceId", TEXT, false, offsetof(alga_manual_invoice_item_input, applies_to_service_id), 0, 0},
    END};

const alga_field alga_create_manual_invoice_input_fields[] = {
    {"clientId", TEXT, true, offsetof(alga_create_manual_invoice_input, client_id), 0, 0},
    {"items", LIST, true, offsetof(alga_create_manual_invoice_input, items), sizeof(alga_manual_invoice_item_input), alga_manual_invoice_item_input_fields},
    {"invoiceDate", TEXT, false, offsetof(alga_create_manual_invoice_input, invoice_date), 0, 0},
    {"dueDate", TEXT, false, offsetof(alga_create_manual_invoice_input, due_date), 0, 0},
    {"poNumber", TEXT, false, offsetof(alga_create_manual_invoice_input, po_number), 0, 0},
    END};

const alga_field alga_route_call_fields[] = {
    {"route", TEXT, true, offsetof(alga_route_call, route), 0, 0},
    {"payload", BYTES, false, offsetof(alga_route_call, payload), 0, 0},
    END};

const alga_field alga_secret_ref_fields[] = {
    {"key", TEXT, true, offsetof(alga_secret_ref, key), 0, 0},
    END};

const alga_field alga_service_ref_fields[] = {
    {"serviceId", TEXT, true, offsetof(alga_service_ref, service_id), 0, 0},
    END};

const alga_field alga_service_summary_fields[] = {
    {"serviceId", TEXT, true, offsetof(alga_service_summary, service_id), 0, 0},
    {"serviceName", TEXT, true, offsetof(alga_service_summary, service_name), 0, 0},
    {"itemKind", TEXT, true, offsetof(alga_service_summary, item_kind), 0, 0},
    {"billingMethod", TEXT, true, offsetof(alga_service_summary, billing_method), 0, 0},
    {"serviceTypeId", TEXT, false, offsetof(alga_service_summary, service_type_id), 0, 0},
    {"serviceTypeName", TEXT, false, offsetof(alga_service_summary, service_type_name), 0, 0},
    {"defaultRate", DOUBLE, true, offsetof(alga_service_summary, default_rate), 0, 0},
    {"unitOfMeasure", TEXT, true, offsetof(alga_service_summary, unit_of_measure), 0, 0},
    {"isActive", BOOL, true, offsetof(alga_service_summary, is_active), 0, 0},
    {"sku", TEXT, false, offsetof(alga_service_summary, sku), 0, 0},
    END};

const alga_field alga_services_list_input_fields[] = {
    {"search", TEXT, false, offsetof(alga_services_list_input, search), 0, 0},
    {"itemKind", TEXT, false, offsetof(alga_services_list_input, item_kind), 0, 0},
    {"isActive", SWITCH, false, offsetof(alga_services_list_input, is_active), 0, 0},
    {"billingMethod", TEXT, false, offsetof(alga_services_list_input, billing_method), 0, 0},
    {"page", INTEGER, false, offsetof(alga_services_list_input, page), 0, 0},
    {"pageSize", INTEGER, false, offsetof(alga_services_list_input, page_size), 0, 0},
    END};

const alga_field alga_storage_entry_fields[] = {
    {"namespace", TEXT, true, offsetof(alga_storage_entry, namespace), 0, 0},
    {"key", TEXT, true, offsetof(alga_storage_entry, key), 0, 0},
    {"value", BYTES, true, offsetof(alga_storage_entry, value), 0, 0},
    {"revision", WHOLE, true, offsetof(alga_storage_entry, revision), 0, 0},
    END};

const alga_field alga_storage_key_fields[] = {
    {"namespace", TEXT, true, offsetof(alga_storage_key, namespace), 0, 0},
    {"key", TEXT, true, offsetof(alga_storage_key, key), 0, 0},
    END};

const alga_field alga_storage_page_fields[] = {
    {"namespace", TEXT, true, offsetof(alga_storage_page, namespace), 0, 0},
    {"cursor", TEXT, false, offsetof(alga_storage_page, cursor), 0, 0},
    {"limit", INTEGER, false, offsetof(alga_storage_page, limit), 0, 0},
    END};

const alga_field alga_storage_write_fields[] = {
    {"value", BYTES, true, offsetof(alga_storage_write, value), 0, 0},
    {"revision", INTEGER, false, offsetof(alga_storage_write, revision), 0, 0},
    {"namespace", TEXT, true, offsetof(alga_storage_write, namespace), 0, 0},
    {"key", TEXT, true, offsetof(alga_storage_write, key), 0, 0},
    END};

const alga_field alga_tenant_user_fields[] = {
    {"userId", TEXT, true, offsetof(alga_tenant_user, user_id), 0, 0},
    {"userEmail", TEXT, true, offsetof(alga_tenant_user, user_email), 0, 0},
    {"userName", TEXT, true, offsetof(alga_tenant_user, user_name), 0, 0},
    {"userType", TEXT, true, offsetof(alga_tenant_user, user_type), 0, 0},
    {"clientName", TEXT, true, offsetof(alga_tenant_user, client_name), 0, 0},
    {"clientId", TEXT, false, offsetof(alga_tenant_user, client_id), 0, 0},
    {"additionalFields", DOCUMENT, true, offsetof(alga_tenant_user, additional_fields), 0, 0},
    {"tenantId", TEXT, true, offsetof(alga_tenant_user, tenant_id), 0, 0},
    END};

const alga_field alga_clients_list_reply_fields[] = {
    {"items", LIST, true, offsetof(alga_clients_list_reply, items), sizeof(alga_client_summary), alga_client_summary_fields},
    {"totalCount", WHOLE, true, offsetof(alga_clients_list_reply, total_count), 0, 0},
    {"page", WHOLE, true, offsetof(alga_clients_list_reply, page), 0, 0},
    {"pageSize", WHOLE, true, offsetof(alga_clients_list_reply, page_size), 0, 0},
    END};

IMPORT("alga:clients", "list") host_call host_clients_list;

alga_clients_list_reply alga_clients_list(const alga_clients_list_input *input) {
  alga_clients_list_reply reply = {0};
  reply.error = perform(host_clients_list, alga_clients_list_input_fields, input, alga_clients_list_reply_fields, &reply);
  return reply;
}

const alga_field alga_clients_get_reply_fields[] = {
    {"client", RECORD, false, offsetof(alga_clients_get_reply, client), sizeof(alga_client_summary), alga_client_summary_fields},
    END};

IMPORT("alga:clients", "get") host_call host_clients_get;

alga_clients_get_reply alga_clients_get(alga_text client_id) {
  alga_client_ref input = {.client_id = client_id};
  alga_clients_get_reply reply = {0};
  reply.error = perform(host_clients_get, alga_client_ref_fields, &input, alga_clients_get_reply_fields, &reply);
  return reply;
}

const alga_field alga_http_fetch_reply_fields[] = {
    {"status", WHOLE, true, offsetof(alga_http_fetch_reply, status), 0, 0},
    {"headers", LIST, true, offsetof(alga_http_fetch_reply, headers), sizeof(alga_header), header_fields},
    {"body", BYTES, true, offsetof(alga_http_fetch_reply, body), 0, 0},
    END};

IMPORT("alga:http", "fetch") host_call host_http_fetch;

alga_http_fetch_reply alga_http_fetch(const alga_fetch_input *input) {
  alga_http_fetch_reply reply = {0};
  reply.error = perform(host_http_fetch, alga_fetch_input_fields, input, alga_http_fetch_reply_fields, &reply);
  return reply;
}

const alga_field alga_invoicing_create_manual_invoice_reply_fields[] = {
    {"invoiceId", TEXT, true, offsetof(alga_invoicing_create_manual_invoice_reply, invoice_id), 0, 0},
    {"invoiceNumber", TEXT, true, offsetof(alga_invoicing_create_manual_invoice_reply, invoice_number), 0, 0},
    {"status", TEXT, true, offsetof(alga_invoicing_create_manual_invoice_reply, status), 0, 0},
    {"subtotal", DOUBLE, true, offsetof(alga_invoicing_create_manual_invoice_reply, subtotal), 0, 0},
    {"tax", DOUBLE, true, offsetof(alga_invoicing_create_manual_invoice_reply, tax), 0, 0},
    {"total", DOUBLE, true, offsetof(alga_invoicing_create_manual_invoice_reply, total), 0, 0},
    END};

IMPORT("alga:invoicing", "create-manual-invoice") host_call host_invoicing_create_manual_invoice;

alga_invoicing_create_manual_invoice_reply alga_invoicing_create_manual_invoice(const alga_create_manual_invoice_input *input) {
  alga_invoicing_create_manual_invoice_reply reply = {0};
  reply.error = perform(host_invoicing_create_manual_invoice, alga_create_manual_invoice_input_fields, input, alga_invoicing_create_manual_invoice_reply_fields, &reply);
  return reply;
}

const alga_field alga_secrets_get_reply_fields[] = {
    {"value", TEXT, true, offsetof(alga_secrets_get_reply, value), 0, 0},
    END};

IMPORT("alga:secrets", "get") host_call host_secrets_get;

alga_secrets_get_reply alga_secrets_get(alga_text key) {
  alga_secret_ref input = {.key = key};
  alga_secrets_get_reply reply = {0};
  reply.error = perform(host_secrets_get, alga_secret_ref_fields, &input, alga_secrets_get_reply_fields, &reply);
  return reply;
}

const alga_field alga_secrets_list_keys_reply_fields[] = {
    {"keys", TEXTS, true, offsetof(alga_secrets_list_keys_reply, keys), 0, 0},
    END};

IMPORT("alga:secrets", "list-keys") host_call host_secrets_list_keys;

alga_secrets_list_keys_reply alga_secrets_list_keys(void) {
  alga_secrets_list_keys_reply reply = {0};
  reply.error = perform(host_secrets_list_keys, nothing, 0, alga_secrets_list_keys_reply_fields, &reply);
  return reply;
}

const alga_field alga_services_list_reply_fields[] = {
    {"items", LIST, true, offsetof(alga_services_list_reply, items), sizeof(alga_service_summary), alga_service_summary_fields},
    {"totalCount", WHOLE, true, offsetof(alga_services_list_reply, total_count), 0, 0},
    {"page", WHOLE, true, offsetof(alga_services_list_reply, page), 0, 0},
    {"pageSize", WHOLE, true, offsetof(alga_services_list_reply, page_size), 0, 0},
    END};

IMPORT("alga:services", "list") host_call host_services_list;

alga_services_list_reply alga_services_list(const alga_services_list_input *input) {
  alga_services_list_reply reply = {0};
  reply.error = perform(host_services_list, alga_services_list_input_fields, input, alga_services_list_reply_fields, &reply);
  return reply;
}

const alga_field alga_services_get_reply_fields[] = {
    {"service", RECORD, false, offsetof(alga_services_get_reply, service), sizeof(alga_service_summary), alga_service_summary_fields},
    END};

IMPORT("alga:services", "get") host_call host_services_get;

alga_services_get_reply alga_services_get(alga_text service_id) {
  alga_service_ref input = {.service_id = service_id};
  alga_services_get_reply reply = {0};
  reply.error = perform(host_services_get, alga_service_ref_fields, &input, alga_services_get_reply_fields, &reply);
  return reply;
}

const alga_field alga_storage_get_reply_fields[] = {
    {"entry", RECORD, false, offsetof(alga_storage_get_reply, entry), sizeof(alga_storage_entry), alga_storage_entry_fields},
    END};

IMPORT("alga:storage", "get") host_call host_storage_get;

alga_storage_get_reply alga_storage_get(alga_text namespace, alga_text key) {
  alga_storage_key input = {.namespace = namespace, .key = key};
  alga_storage_get_reply reply = {0};
  reply.error = perform(host_storage_get, alga_storage_key_fields, &input, alga_storage_get_reply_fields, &reply);
  return reply;
}

const alga_field alga_storage_put_reply_fields[] = {
    {"revision", WHOLE, true, offsetof(alga_storage_put_reply, revision), 0, 0},
    END};

IMPORT("alga:storage", "put") host_call host_storage_put;

alga_storage_put_reply alga_storage_put(const alga_storage_write *input) {
  alga_storage_put_reply reply = {0};
  reply.error = perform(host_storage_put, alga_storage_write_fields, input, alga_storage_put_reply_fields, &reply);
  return reply;
}

IMPORT("alga:storage", "delete") host_call host_storage_delete;

alga_error alga_storage_delete(alga_text namespace, alga_text key) {
  alga_storage_key input = {.namespace = namespace, .key = key};
  return perform(host_storage_delete, alga_storage_key_fields, &input, nothing, 0);
}

const alga_field alga_storage_list_reply_fields[] = {
    {"entries", LIST, true, offsetof(alga_storage_list_reply, entries), sizeof(alga_storage_entry), alga_storage_entry_fields},
    {"nextCursor", TEXT, false, offsetof(alga_storage_list_reply, next_cursor), 0, 0},
    END};

IMPORT("alga:storage", "list") host_call host_storage_list;

alga_storage_list_reply alga_storage_list(const alga_storage_page *input) {
  alga_storage_list_reply reply = {0};
  reply.error = perform(host_storage_list, alga_storage_page_fields, input, alga_storage_list_reply_fields, &reply);
  return reply;
}

const alga_field alga_ui_proxy_call_route_reply_fields[] = {
    {"body", BYTES, true, offsetof(alga_ui_proxy_call_route_reply, body), 0, 0},
    END};

IMPORT("alga:ui-proxy", "call-route") host_call host_ui_proxy_call_route;

alga_ui_proxy_call_route_reply alga_ui_proxy_call_route(const alga_route_call *input) {
  alga_ui_proxy_call_route_reply reply = {0};
  reply.error = perform(host_ui_proxy_call_route, alga_route_call_fields, input, alga_ui_proxy_call_route_reply_fields, &reply);
  return reply;
}

const alga_field alga_user_get_reply_fields[] = {
    {"user", RECORD, false, offsetof(alga_user_get_reply, user), sizeof(alga_tenant_user), alga_tenant_user_fields},
    END};

IMPORT("alga:user", "get") host_call host_user_get;

alga_user_get_reply alga_user_get(void) {
  alga_user_get_reply reply = {0};
  reply.error = perform(host_user_get, nothing, 0, alga_user_get_reply_fields, &reply);
  return reply;
}

/* ---- End of them ---- */
