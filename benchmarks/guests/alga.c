// The work as a guest of the Alga ABI v1.
#include "work.h"

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("alga:abi", "request") unsigned alga_request(void *at, unsigned capacity);
IMPORT("alga:abi", "respond") void alga_respond(const void *at, unsigned length);
IMPORT("alga:scheduler", "create")
unsigned scheduler_create(const void *at, unsigned length, void *reply, unsigned capacity);
IMPORT("alga:scheduler", "list")
unsigned scheduler_list(const void *at, unsigned length, void *reply, unsigned capacity);

size_t host_call(enum operation operation, const byte *request, size_t length, byte *reply, size_t capacity) {
    return operation == CREATE ? scheduler_create(request, length, reply, capacity)
                               : scheduler_list(request, length, reply, capacity);
}

static byte request[MAX_REQUEST], response[MAX_RESPONSE];

EXPORT("alga_abi_v1") void alga_abi_v1(void) {}

EXPORT("alga_handle") void alga_handle(unsigned length) {
    if (length > sizeof request || alga_request(request, sizeof request) != length) __builtin_trap();
    alga_respond(response, work(request, length, response, sizeof response));
}
