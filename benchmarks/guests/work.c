#include "work.h"

#define FAIL() __builtin_trap()

void *memcpy(void *to, const void *from, size_t length) {
    for (size_t i = 0; i < length; i++) ((byte *)to)[i] = ((const byte *)from)[i];
    return to;
}

static int equal(const byte *text, size_t length, const char *word) {
    size_t i = 0;
    for (; i < length; i++)
        if (!word[i] || text[i] != (byte)word[i]) return 0;
    return !word[i];
}

// ---- Reading MessagePack ----------------------------------------------------------------------------------------------

struct reader {
    const byte *at, *end;
};

enum kind { SCALAR, TEXT, BINARY, ARRAY, MAP };

// One value, or the head of a container: `size` is its bytes, which start at `bytes`, or its members.
struct item {
    enum kind kind;
    const byte *bytes;
    size_t size;
};

static const byte *take(struct reader *reader, size_t count) {
    const byte *taken = reader->at;
    if ((size_t)(reader->end - taken) < count) FAIL();
    reader->at += count;
    return taken;
}

static size_t number(struct reader *reader, int bytes) {
    const byte *from = take(reader, bytes);
    size_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | from[i];
    return value;
}

static struct item of(struct reader *reader, enum kind kind, size_t size) {
    struct item item = {kind, reader->at, size};
    if (kind == SCALAR || kind == TEXT || kind == BINARY) take(reader, size);
    return item;
}

static struct item next(struct reader *reader) {
    byte head = *take(reader, 1);
    if (head < 0x80 || head >= 0xe0) return of(reader, SCALAR, 0);
    if (head < 0x90) return of(reader, MAP, head & 0x0f);
    if (head < 0xa0) return of(reader, ARRAY, head & 0x0f);
    if (head < 0xc0) return of(reader, TEXT, head & 0x1f);
    switch (head) {
    case 0xc0: case 0xc2: case 0xc3: return of(reader, SCALAR, 0);
    case 0xc4: case 0xc5: case 0xc6: return of(reader, BINARY, number(reader, 1 << (head - 0xc4)));
    case 0xca: return of(reader, SCALAR, 4);
    case 0xcb: return of(reader, SCALAR, 8);
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return of(reader, SCALAR, (size_t)1 << (head - 0xcc));
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: return of(reader, SCALAR, (size_t)1 << (head - 0xd0));
    case 0xd9: case 0xda: case 0xdb: return of(reader, TEXT, number(reader, 1 << (head - 0xd9)));
    case 0xdc: case 0xdd: return of(reader, ARRAY, number(reader, 2 << (head - 0xdc)));
    case 0xde: case 0xdf: return of(reader, MAP, number(reader, 2 << (head - 0xde)));
    }
    FAIL();
}

static void skip(struct reader *reader) {
    size_t values = 1;
    while (values--) {
        struct item item = next(reader);
        if (item.kind == ARRAY) values += item.size;
        if (item.kind == MAP) values += 2 * item.size;
    }
}

struct request {
    struct item url, body;
};

// Walks the whole document, with all its other members.
static struct request read_request(const byte *bytes, size_t length) {
    struct reader reader = {bytes, bytes + length};
    struct request request = {0};
    struct item document = next(&reader);
    if (document.kind != MAP) FAIL();
    for (size_t i = 0; i < document.size; i++) {
        struct item name = next(&reader);
        if (!equal(name.bytes, name.size, "http")) {
            skip(&reader);
            continue;
        }
        struct item http = next(&reader);
        if (http.kind != MAP) FAIL();
        for (size_t j = 0; j < http.size; j++) {
            struct item key = next(&reader);
            if (equal(key.bytes, key.size, "url")) request.url = next(&reader);
            else if (equal(key.bytes, key.size, "body")) request.body = next(&reader);
            else skip(&reader);
        }
    }
    if (reader.at != reader.end || request.url.kind != TEXT || request.body.kind != BINARY) FAIL();
    return request;
}

// ---- Checksums --------------------------------------------------------------------------------------------------------

// Adler-32, which Python's zlib has, too.
static uint32_t adler32(uint32_t sum, const byte *bytes, size_t length) {
    uint32_t a = sum & 0xffff, b = sum >> 16;
    while (length) {
        size_t run = length < 5552 ? length : 5552;
        length -= run;
        while (run--) b += a += *bytes++;
        a %= 65521;
        b %= 65521;
    }
    return b << 16 | a;
}

static void write_hexadecimal(byte *at, uint32_t value) {
    for (int i = 0; i < 8; i++) at[i] = (byte)"0123456789abcdef"[value >> (28 - 4 * i) & 0xf];
}

// ---- Host calls -------------------------------------------------------------------------------------------------------

static const char create_request[] =
    "\x84\xa8" "endpoint\xaf" "POST /sync/0000\xa4" "cron\xa9" "0 * * * *\xa4" "name\xab" "Hourly sync\xa7" "payload\x81\xa4" "full\xc2";
enum { DIGITS = 21 };

static byte call[MAX_CALL], reply[MAX_REPLY];

static size_t write_call(enum operation operation, size_t round) {
    if (operation == LIST) {
        call[0] = 0x80;
        return 1;
    }
    memcpy(call, create_request, sizeof create_request - 1);
    for (int i = 3; i >= 0; i--, round /= 10) call[DIGITS + i] = (byte)('0' + round % 10);
    return sizeof create_request - 1;
}

// Walks a reply; anything but {"ok": ...} is a failure.
static void check_reply(const byte *bytes, size_t length) {
    struct reader reader = {bytes, bytes + length};
    struct item envelope = next(&reader);
    if (envelope.kind != MAP || envelope.size != 1) FAIL();
    struct item name = next(&reader);
    if (!equal(name.bytes, name.size, "ok")) FAIL();
    skip(&reader);
    if (reader.at != reader.end) FAIL();
}

static uint32_t call_host(enum operation operation, size_t count) {
    uint32_t sum = 1;
    for (size_t round = 0; round < count; round++) {
        size_t length = host_call(operation, call, write_call(operation, round), reply, sizeof reply);
        if (length > sizeof reply) FAIL();
        check_reply(reply, length);
        sum = adler32(sum, reply, length);
    }
    return sum;
}

static void compute(size_t thousands) {
    for (uint64_t i = 0; i < 1000ull * thousands; i++) __asm__ volatile("");
}

// ---- The handler ------------------------------------------------------------------------------------------------------

// `path` followed by a number: the number, or -1.
static int count_in(struct item url, const char *path) {
    size_t i = 0;
    for (; path[i]; i++)
        if (i >= url.size || url.bytes[i] != (byte)path[i]) return -1;
    int count = 0;
    for (; i < url.size; i++) {
        if (url.bytes[i] < '0' || url.bytes[i] > '9') return -1;
        count = 10 * count + (url.bytes[i] - '0');
    }
    return count;
}

static const char response_head[] =
    "\x83\xa6" "status\xcc\xc8\xa7" "headers\x91\x82\xa4" "name\xac" "content-type\xa5" "value\xb8" "application/octet-stream"
    "\xa4" "body\xc5";

size_t work(const byte *bytes, size_t length, byte *response, size_t capacity) {
    struct request request = read_request(bytes, length);
    uint32_t replies = 1;
    int count;
    if ((count = count_in(request.url, "/create/")) >= 0) replies = call_host(CREATE, count);
    else if ((count = count_in(request.url, "/list/")) >= 0) replies = call_host(LIST, count);
    else if ((count = count_in(request.url, "/compute/")) >= 0) compute(count);
    else if (equal(request.url.bytes, request.url.size, "/trap")) FAIL();

    size_t head = sizeof response_head - 1, size = request.body.size;
    if (size < 16 || size > 0xffff || head + 2 + size > capacity) FAIL();
    memcpy(response, response_head, head);
    response[head] = (byte)(size >> 8);
    response[head + 1] = (byte)size;
    byte *body = response + head + 2;
    memcpy(body, request.body.bytes, size);
    write_hexadecimal(body, adler32(1, request.body.bytes, size));
    write_hexadecimal(body + 8, replies);
    return head + 2 + size;
}
