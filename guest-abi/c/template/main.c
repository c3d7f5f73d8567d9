/* Greets, and sets up a schedule that calls it every hour. */

#include "alga.h"

static void greeting(alga_writer *writer, const void *name) {
  alga_put(writer, "Hello, ", 7);
  alga_put(writer, ((const alga_text *)name)->at, ((const alga_text *)name)->length);
  alga_put(writer, "!\n", 2);
}

static alga_response hello(const alga_request *request) {
  alga_text name = alga_query(request, "name");
  if (!name.at)
    name = alga_string("world");
  return alga_text_response(200, alga_as_text(alga_written(greeting, &name)));
}

static void payload(alga_writer *writer, const void *nothing) {
  (void)nothing;
  alga_write_map(writer, 1);
  alga_write_text(writer, alga_string("full"));
  alga_write_bool(writer, false);
}

static alga_response setup(void) {
  alga_create_input schedule = {
      .endpoint = alga_string("POST /sync"),
      .cron = alga_string("0 * * * *"),
      .name = alga_string("Hourly sync"),
      .payload = alga_written(payload, 0),
  };
  return alga_result_response(201, alga_scheduler_create(&schedule));
}

static alga_response sync(void) {
  alga_log(ALGA_INFO, alga_string("Syncing."));
  return (alga_response){.status = 204};
}

alga_response alga_handler(const alga_request *request) {
  if (alga_asks(request, "GET", "/hello"))
    return hello(request);
  if (alga_asks(request, "POST", "/setup"))
    return setup();
  if (alga_asks(request, "POST", "/sync"))
    return sync();
  return alga_problem(404, alga_string("not-found"), alga_path(request));
}
