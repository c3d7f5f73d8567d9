/* A guest that ends badly in the way its request's body asks for, to see that errors name files and lines. */

#include "divide.h"

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
#define APART __attribute__((noinline))

IMPORT("alga:abi", "request") unsigned alga_request(void *at, unsigned capacity);
IMPORT("alga:abi", "respond") void alga_respond(const void *at, unsigned length);
IMPORT("alga:scheduler", "list") unsigned list(const void *at, unsigned length, void *reply, unsigned capacity);

static unsigned char document[4096];
static volatile int divisor, turns;

/* The letter behind "do:" in the request. */
APART static char wanted(unsigned length) {
  for (unsigned at = 3; at < length && at < sizeof document; at++)
    if (document[at - 3] == 'd' && document[at - 2] == 'o' && document[at - 1] == ':')
      return (char)document[at];
  return 0;
}

APART static int total(int count) {
  int sum = 0;
  for (divisor = count; divisor >= 0; divisor--)
    sum += share(100, divisor);
  return sum;
}

APART static void spin(void) {
  for (;;)
    turns++;
}

APART static int dig(int depth) {
  return depth < 0 ? 0 : dig(depth + 1) + turns;
}

APART static void ask(unsigned length) {
  list((void *)document, length, document, sizeof document);
}

EXPORT("alga_abi_v1") void alga_abi_v1(void) {}

EXPORT("alga_handle") void alga_handle(unsigned length) {
  alga_request(document, sizeof document);
  switch (wanted(length)) {
  case 'd':
    turns = total(3);
    break;
  case 's':
    spin();
    break;
  case 'r':
    turns = dig(0);
    break;
  case 'a':
    document[0] = 0x80;
    ask(1);
    break;
  case 'b':
    document[0] = 0xc1;
    ask(1);
    break;
  case 'o':
    alga_respond(document, 0x7fffffff);
    break;
  }
}
