// The work that both guests do, on either host; alga.c and extism.c only carry the bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint8_t byte;

enum { MAX_REQUEST = 16 * 1024, MAX_RESPONSE = 16 * 1024, MAX_CALL = 256, MAX_REPLY = 4 * 1024 };

// A host call the host answers: writes the reply to `reply` and returns its length.
enum operation { CREATE, LIST };
size_t host_call(enum operation operation, const byte *request, size_t length, byte *reply, size_t capacity);

// Handles one request: walks the whole MessagePack document, does the work that its URL names, writes the response document to
// `response` and returns its length. Traps on a document that it cannot read.
//
//   /echo             answer the body, its first 16 bytes replaced by two checksums in hexadecimal: of the body, and
//                     of all replies of host calls
//   /create/<count>   the same, after that many calls of scheduler.create
//   /list/<count>     the same, after that many calls of scheduler.list
//   /compute/<count>  the same, after that many thousand rounds of a loop
//   /trap             trap
size_t work(const byte *request, size_t length, byte *response, size_t capacity);
