// The work as a plugin of Extism, which keeps input, output and what host functions take in a memory of its own; the
// plugin copies from and to it by words of eight bytes, as Extism's own kits do.
#include "work.h"

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define KERNEL(name) IMPORT("extism:host/env", name)

KERNEL("input_length") uint64_t input_length(void);
KERNEL("input_load_u8") uint32_t input_load_u8(uint64_t at);
KERNEL("input_load_u64") uint64_t input_load_u64(uint64_t at);
KERNEL("alloc") uint64_t kernel_alloc(uint64_t length);
KERNEL("length") uint64_t kernel_length(uint64_t block);
KERNEL("load_u8") uint32_t load_u8(uint64_t at);
KERNEL("load_u64") uint64_t load_u64(uint64_t at);
KERNEL("store_u8") void store_u8(uint64_t at, uint32_t value);
KERNEL("store_u64") void store_u64(uint64_t at, uint64_t value);
KERNEL("output_set") void output_set(uint64_t block, uint64_t length);

IMPORT("extism:host/user", "scheduler_create") uint64_t scheduler_create(uint64_t request);
IMPORT("extism:host/user", "scheduler_list") uint64_t scheduler_list(uint64_t request);

static uint64_t store(const byte *from, size_t length) {
    uint64_t block = kernel_alloc(length);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        __builtin_memcpy(&word, from + i, 8);
        store_u64(block + i, word);
    }
    for (; i < length; i++) store_u8(block + i, from[i]);
    return block;
}

static void load(byte *to, uint64_t block, size_t length) {
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word = load_u64(block + i);
        __builtin_memcpy(to + i, &word, 8);
    }
    for (; i < length; i++) to[i] = (byte)load_u8(block + i);
}

size_t host_call(enum operation operation, const byte *request, size_t length, byte *reply, size_t capacity) {
    uint64_t asked = store(request, length);
    uint64_t answered = operation == CREATE ? scheduler_create(asked) : scheduler_list(asked);
    size_t size = kernel_length(answered);
    if (size > capacity) __builtin_trap();
    load(reply, answered, size);
    return size;
}

static byte request[MAX_REQUEST], response[MAX_RESPONSE];

EXPORT("handle") int32_t handle(void) {
    size_t length = input_length(), i = 0;
    if (length > sizeof request) __builtin_trap();
    for (; i + 8 <= length; i += 8) {
        uint64_t word = input_load_u64(i);
        __builtin_memcpy(request + i, &word, 8);
    }
    for (; i < length; i++) request[i] = (byte)input_load_u8(i);
    size_t size = work(request, length, response, sizeof response);
    output_set(store(response, size), size);
    return 0;
}
