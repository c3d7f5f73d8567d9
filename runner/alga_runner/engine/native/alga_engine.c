/* Runs a guest from its store to its end in few calls, as guest.py does it in many, and ends its slices, as ticker.py does.
 *
 * It holds nothing of its own but the addresses of wasmtime's functions. All of a guest is in the struct alga_guest that
 * its owner keeps, so the rules of docs/design/engine.md, "Hazards", hold as they do in Python: one owner, one thread at a
 * time, a future is never polled once it is done, and future, trap, error and store are deleted in that order, each once.
 * Of a guest's memory it touches only ranges that it has checked, and it calls Python only where the host is asked.
 *
 * wasmtime's package ships no headers: all that it calls is declared here, and library.py checks each size and offset.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef ALGA_SOURCE
#error "build.py builds this file: it passes ALGA_SOURCE, the digest that library.py compares."
#endif

#define EXPORTED __attribute__((visibility("default")))

/* wasmtime's types, opaque or by their size alone. */
typedef struct { uint64_t words[2]; } wasmtime_instance_t;
typedef struct { uint8_t kind; uint64_t of[3]; } wasmtime_extern_t;
typedef struct { uint8_t kind; uint64_t of[3]; } wasmtime_val_t;

/* What a host function gives that answers later: a function that returns whether it is answered, and its argument. */
typedef struct {
    bool (*is_answered)(void *flag);
    void *flag;
    void (*finalizer)(void *);
} wasmtime_async_continuation_t;

enum {
    WASMTIME_I32 = 0,
    WASMTIME_I64 = 1,
    WASMTIME_F32 = 2,
    WASMTIME_F64 = 3,
    WASMTIME_EXTERN_FUNC = 0,
    WASMTIME_EXTERN_MEMORY = 3,
};

/* An argument, and then the result, of a host function that does not suspend its guest. */
typedef union {
    uint32_t i32;
    uint64_t words[2];
} wasmtime_val_raw_t;

typedef void *unchecked_callback(void *of_linker, void *caller, wasmtime_val_raw_t *values, size_t count);

/* A host function, as its linker keeps it. */
struct alga_function {
    size_t position;
    /* Asks the host, for one that does not suspend. */
    unchecked_callback *ask;
};

/* Arguments of a host function that suspends its guest, at most. */
enum { MOST_ARGUMENTS = 12 };

/* Times that a guest is given its document without the owner's knowledge, at most. */
enum { MOST_GIVEN = 16 };

/* One call of an export, without a result. */
struct alga_call {
    const char *name;
    size_t length;
};

struct alga_guest {
    wasmtime_instance_t instance;
    wasmtime_extern_t callee;
    wasmtime_extern_t memory;
    wasmtime_val_t argument;
    void *trap;
    void *error;
    /* Zero while a host call waits for its answer; the byte behind it is always zero. */
    uint8_t flag[8];
    void *store;
    void *context;
    void *future;
    /* Where its memory is, once it is instantiated and exports one. */
    uint8_t *memory_base;

    /* What to make it of, and how: set by the owner. */
    void *engine;
    const void *instance_pre;
    const struct alga_call *calls;
    /* Below zero: the pool enforces the engine's own. */
    int64_t memory_bytes;
    int64_t table_elements;
    uint32_t call_count;
    uint32_t begun;
    /* Whether the last of the calls has begun. */
    uint8_t handling;
    uint8_t instantiated;
    /* Whether it waits for the answer to a host call. */
    uint8_t called;

    /* That call: the function's position in the linker, and where wasmtime takes the result, or an error instead. */
    uint32_t function;
    wasmtime_val_t *results;
    void **trap_return;
    /* Its answer, set by the owner; without a value if its kind is NO_RESULT. */
    wasmtime_val_t answer;
    uint8_t answered;
    uint64_t arguments[MOST_ARGUMENTS];

    /* What the guest may be given without asking the host, set by the owner; NULL: nothing, and nothing is taken. */
    const uint8_t *document;
    uint32_t document_bytes;
    /* The most that may be taken. */
    uint32_t most_bytes;
    /* How often the guest asked for the document, and the bytes that were copied, since the owner looked. */
    uint32_t given;
    uint32_t given_bytes;
    /* The bytes taken from it, once; freed at the guest's end. */
    uint8_t *taken;
    size_t taken_bytes;
};

enum { NO_RESULT = 255 };

/* As guest.py and native/guest.py have it, and as wasmtime's bindings have wasmtime's. */
_Static_assert(sizeof(wasmtime_instance_t) == 16, "wasmtime_instance_t");
_Static_assert(sizeof(wasmtime_extern_t) == 32 && offsetof(wasmtime_extern_t, of) == 8, "wasmtime_extern_t");
_Static_assert(sizeof(wasmtime_val_raw_t) == 16 && sizeof(struct alga_function) == 16, "wasmtime_val_raw_t");
_Static_assert(sizeof(wasmtime_val_t) == 32 && offsetof(wasmtime_val_t, of) == 8, "wasmtime_val_t");
_Static_assert(offsetof(struct alga_guest, memory) == 48 && offsetof(struct alga_guest, trap) == 112, "alga_guest");
_Static_assert(offsetof(struct alga_guest, store) == 136 && offsetof(struct alga_guest, engine) == 168, "alga_guest");
_Static_assert(offsetof(struct alga_guest, call_count) == 208 && offsetof(struct alga_guest, called) == 218, "alga_guest");
_Static_assert(offsetof(struct alga_guest, function) == 220 && offsetof(struct alga_guest, answer) == 240, "alga_guest");
_Static_assert(offsetof(struct alga_guest, arguments) == 280 && sizeof(struct alga_guest) == 416, "alga_guest");

/* Functions of wasmtime, in the order in which library.py passes them. */
static struct {
    void *(*store_new)(void *engine, void *data, void (*finalizer)(void *));
    void *(*store_context)(void *store);
    void (*store_limiter)(void *store, int64_t memory, int64_t table, int64_t instances, int64_t tables, int64_t memories);
    void (*set_epoch_deadline)(void *context, uint64_t ticks);
    void (*epoch_yield_and_update)(void *context, uint64_t ticks);
    void *(*instantiate_async)(const void *pre, void *context, wasmtime_instance_t *, void **trap, void **error);
    bool (*instance_export_get)(void *context, const wasmtime_instance_t *, const char *, size_t, wasmtime_extern_t *);
    uint8_t *(*memory_data)(void *context, const void *memory);
    void *(*call_async)(void *context, const void *function, const wasmtime_val_t *, size_t, wasmtime_val_t *, size_t,
                        void **trap, void **error);
    bool (*future_poll)(void *future);
    void (*future_delete)(void *future);
    void (*trap_delete)(void *trap);
    void (*error_delete)(void *error);
    void (*store_delete)(void *store);
    void *(*caller_context)(void *caller);
    bool (*caller_export_get)(void *caller, const char *, size_t, wasmtime_extern_t *);
    void *(*context_get_data)(const void *context);
    size_t (*memory_data_size)(const void *context, const void *memory);
    void (*increment_epoch)(void *engine);
    /* libc's, and not wasmtime's: see _capi.py. */
    bool (*is_answered)(void *flag);
} wasmtime;

enum { FUNCTIONS = sizeof wasmtime / sizeof(void *) };

/* How a run ended. CALLED, and the function's position on top of it: the guest waits for the answer to a host call.
 * EXCHANGED is added if it was given its document since the owner looked. */
enum { BLOCKED = 0, DONE = 1, FAILED = 2, NOTHING = 3, NO_EXPORT = 4, CALLED = 5, EXCHANGED = 1 << 20 };

static const char MEMORY[] = "memory";

EXPORTED const char *alga_source(void) { return ALGA_SOURCE; }

EXPORTED size_t alga_guest_size(void) { return sizeof(struct alga_guest); }

/* Takes the addresses of wasmtime's functions. False, and nothing changed, unless there are as many as are needed. */
EXPORTED bool alga_use(void *const *functions, size_t count) {
    if (count != FUNCTIONS)
        return false;
    for (size_t index = 0; index < FUNCTIONS; index++)
        if (functions[index] == NULL)
            return false;
    memcpy(&wasmtime, functions, sizeof wasmtime);
    return true;
}

/* Makes the store, with its limits and its slices, and starts instantiation. */
static void start(struct alga_guest *guest) {
    guest->store = wasmtime.store_new(guest->engine, guest, NULL);
    guest->context = wasmtime.store_context(guest->store);
    if (guest->memory_bytes >= 0)
        wasmtime.store_limiter(guest->store, guest->memory_bytes, guest->table_elements, 1, 1, 1);
    wasmtime.set_epoch_deadline(guest->context, 1);
    wasmtime.epoch_yield_and_update(guest->context, 1);
    guest->future =
        wasmtime.instantiate_async(guest->instance_pre, guest->context, &guest->instance, &guest->trap, &guest->error);
}

/* Starts the next call. False if the guest does not export it. */
static bool begin_call(struct alga_guest *guest) {
    const struct alga_call *call = &guest->calls[guest->begun++];
    bool last = guest->begun == guest->call_count;
    if (!wasmtime.instance_export_get(guest->context, &guest->instance, call->name, call->length, &guest->callee) ||
        guest->callee.kind != WASMTIME_EXTERN_FUNC)
        return false;
    guest->handling = last;
    guest->future = wasmtime.call_async(guest->context, &guest->callee.of, &guest->argument, last ? 1 : 0, NULL, 0,
                                        &guest->trap, &guest->error);
    return true;
}

/* Uses the export that was looked up, if it is a memory. */
static void use_memory(struct alga_guest *guest, bool is_exported) {
    if (is_exported && guest->memory.kind == WASMTIME_EXTERN_MEMORY)
        guest->memory_base = wasmtime.memory_data(guest->context, &guest->memory.of);
}

static struct alga_guest *guest_of(void *caller) { return wasmtime.context_get_data(wasmtime.caller_context(caller)); }

/* Whether a range is inside the guest's memory, which never moves. */
static bool is_inside(const struct alga_guest *guest, uint32_t offset, uint32_t length) {
    return guest->memory_base != NULL &&
           (uint64_t)offset + length <= wasmtime.memory_data_size(guest->context, &guest->memory.of);
}

/* Whether the guest's handler runs, has given nothing yet, and its owner lets it exchange messages. */
static bool exchanges(const struct alga_guest *guest) {
    return guest->document != NULL && guest->handling && guest->taken == NULL;
}

/* Lets a guest exchange messages: see `document` and `most_bytes`. Without a document, no more. */
EXPORTED void alga_guest_exchange(struct alga_guest *guest, const uint8_t *document, uint32_t bytes, uint32_t most_bytes) {
    guest->document = document;
    guest->document_bytes = bytes;
    guest->most_bytes = most_bytes;
}

/* A host function that copies the guest's document to a range if it fits there, and gives its length. The host is asked
 * wherever it might refuse. */
EXPORTED void *alga_give(void *of_linker, void *caller, wasmtime_val_raw_t *values, size_t count) {
    const struct alga_function *function = of_linker;
    struct alga_guest *guest = guest_of(caller);
    uint32_t offset = values[0].i32, capacity = values[1].i32;
    if (!exchanges(guest) || guest->given == MOST_GIVEN || !is_inside(guest, offset, capacity))
        return function->ask(NULL, caller, values, count);
    if (guest->document_bytes <= capacity) {
        memcpy(guest->memory_base + offset, guest->document, guest->document_bytes);
        guest->given_bytes += guest->document_bytes;
    }
    guest->given++;
    values[0] = (wasmtime_val_raw_t){.i32 = guest->document_bytes};
    return NULL;
}

/* A host function that takes the bytes in a range, once. The host is asked wherever it might refuse. */
EXPORTED void *alga_take(void *of_linker, void *caller, wasmtime_val_raw_t *values, size_t count) {
    const struct alga_function *function = of_linker;
    struct alga_guest *guest = guest_of(caller);
    uint32_t offset = values[0].i32, length = values[1].i32;
    if (!exchanges(guest) || length > guest->most_bytes || !is_inside(guest, offset, length))
        return function->ask(NULL, caller, values, count);
    uint8_t *taken = malloc(length > 0 ? length : 1);
    if (taken == NULL)
        return function->ask(NULL, caller, values, count);
    memcpy(taken, guest->memory_base + offset, length);
    guest->taken = taken;
    guest->taken_bytes = length;
    return NULL;
}

/* A host function that suspends its guest: notes the call, on the guest's stack. */
EXPORTED void alga_suspend(void *of_linker, void *caller, const wasmtime_val_t *arguments, size_t count,
                           wasmtime_val_t *results, size_t result_count, void **trap_return,
                           wasmtime_async_continuation_t *continuation) {
    const struct alga_function *function = of_linker;
    struct alga_guest *guest = guest_of(caller);
    if (guest->memory_base == NULL) /* a start function calls: the instance is not known yet */
        use_memory(guest, wasmtime.caller_export_get(caller, MEMORY, sizeof MEMORY - 1, &guest->memory));
    for (size_t index = 0; index < count && index < MOST_ARGUMENTS; index++) {
        bool is_short = arguments[index].kind == WASMTIME_I32 || arguments[index].kind == WASMTIME_F32;
        guest->arguments[index] = is_short ? (uint32_t)arguments[index].of[0] : arguments[index].of[0];
    }
    guest->function = (uint32_t)function->position;
    guest->results = result_count > 0 ? results : NULL;
    guest->trap_return = trap_return;
    guest->answer.kind = NO_RESULT;
    guest->answered = 0;
    guest->called = 1;
    guest->flag[0] = 0;
    *continuation = (wasmtime_async_continuation_t){wasmtime.is_answered, guest->flag, NULL};
}

/* Takes the answer to the host call that the guest waits for, if the owner has set it, or has set the call to fail. */
static void take_answer(struct alga_guest *guest) {
    if (guest->answered) {
        if (guest->results != NULL && guest->answer.kind != NO_RESULT)
            *guest->results = guest->answer;
        guest->answered = 0;
        guest->flag[0] = 1;
    }
    if (guest->flag[0])
        guest->called = 0;
}

/* The state of a guest that waits for an answer. */
static int32_t call_of(const struct alga_guest *guest) {
    bool exchanged = guest->given > 0 || guest->taken != NULL;
    return (int32_t)(CALLED + guest->function + (exchanged ? EXCHANGED : 0));
}

/* Runs a guest, with the answer that it waited for, until it is done with all of its calls, calls the host, or its slice ends. */
EXPORTED int32_t alga_guest_run(struct alga_guest *guest) {
    if (guest->future == NULL) {
        if (guest->store != NULL || guest->engine == NULL)
            return NOTHING;
        start(guest);
    }
    if (guest->called)
        take_answer(guest);
    for (;;) {
        if (!wasmtime.future_poll(guest->future))
            return guest->called ? call_of(guest) : BLOCKED;
        wasmtime.future_delete(guest->future);
        guest->future = NULL;
        if (guest->trap != NULL || guest->error != NULL)
            return FAILED;
        if (!guest->instantiated) {
            guest->instantiated = 1;
            use_memory(guest, wasmtime.instance_export_get(guest->context, &guest->instance, MEMORY, sizeof MEMORY - 1,
                                                           &guest->memory));
        }
        if (guest->begun == guest->call_count)
            return DONE;
        if (!begin_call(guest))
            return NO_EXPORT;
    }
}

/* Frees all that the guest has, in the one order that wasmtime allows. The next guest finds the struct empty. */
EXPORTED void alga_guest_end(struct alga_guest *guest) {
    void *future = guest->future, *store = guest->store;
    guest->future = guest->store = NULL;
    if (future != NULL)
        wasmtime.future_delete(future);
    if (guest->trap != NULL)
        wasmtime.trap_delete(guest->trap);
    if (guest->error != NULL)
        wasmtime.error_delete(guest->error);
    free(guest->taken);
    *guest = (struct alga_guest){0};
    if (store != NULL)
        wasmtime.store_delete(store);
}

/* A thread that increments an engine's epoch while guests are alive. The kernel makes one for each tick of a timer with
 * SIGEV_THREAD, which costs three times as much. It runs no Python, and takes no signal from the threads that do. */
struct alga_ticker {
    void *engine;
    int64_t interval_ns;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool ticks;
    bool ends;
};

static const int64_t SECOND_NS = 1000000000;

static void add(struct timespec *time, int64_t nanoseconds) {
    int64_t total = time->tv_nsec + nanoseconds;
    time->tv_sec += (time_t)(total / SECOND_NS);
    time->tv_nsec = (long)(total % SECOND_NS);
}

static bool is_before(const struct timespec *one, const struct timespec *other) {
    return one->tv_sec < other->tv_sec || (one->tv_sec == other->tv_sec && one->tv_nsec < other->tv_nsec);
}

/* Waits until it is to tick. False if it is to end. */
static bool is_wanted(struct alga_ticker *ticker) {
    pthread_mutex_lock(&ticker->mutex);
    while (!ticker->ticks && !ticker->ends)
        pthread_cond_wait(&ticker->changed, &ticker->mutex);
    bool ends = ticker->ends;
    pthread_mutex_unlock(&ticker->mutex);
    return !ends;
}

static void *tick(void *given) {
    struct alga_ticker *ticker = given;
    struct timespec now, next = {0, 0};
    while (is_wanted(ticker)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        add(&next, ticker->interval_ns);
        if (is_before(&next, &now)) { /* it waited, or the processor was another's */
            next = now;
            add(&next, ticker->interval_ns);
        }
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR) {
        }
        wasmtime.increment_epoch(ticker->engine);
    }
    return NULL;
}

/* Starts a thread that does not tick yet. NULL where it cannot, with the reason in `error`, an errno. */
EXPORTED struct alga_ticker *alga_ticker_start(void *engine, int64_t interval_ns, int32_t *error) {
    sigset_t all, before;
    struct alga_ticker *ticker = calloc(1, sizeof *ticker);
    if (ticker == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    *ticker = (struct alga_ticker){
        .engine = engine,
        .interval_ns = interval_ns,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *error = pthread_create(&ticker->thread, NULL, tick, ticker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (*error != 0) {
        free(ticker);
        return NULL;
    }
    return ticker;
}

static void change(struct alga_ticker *ticker, bool ticks, bool ends) {
    pthread_mutex_lock(&ticker->mutex);
    ticker->ticks = ticks;
    ticker->ends = ends;
    pthread_cond_signal(&ticker->changed);
    pthread_mutex_unlock(&ticker->mutex);
}

EXPORTED void alga_ticker_set(struct alga_ticker *ticker, bool ticks) { change(ticker, ticks, false); }

/* Ends the thread, and waits for that: an interval at most. */
EXPORTED void alga_ticker_end(struct alga_ticker *ticker) {
    change(ticker, false, true);
    pthread_join(ticker->thread, NULL);
    pthread_cond_destroy(&ticker->changed);
    pthread_mutex_destroy(&ticker->mutex);
    free(ticker);
}
