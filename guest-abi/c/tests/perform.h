/* Generated from guest-abi/schema by `make docs`: the host calls that probe.c performs by it. */

static alga_response perform_others(alga_text operation, alga_document body) {
  if (alga_equals(operation, "clients.list")) {
    alga_clients_list_input input = {0};
    alga_read_fields(body, alga_clients_list_input_fields, &input);
    alga_clients_list_reply reply = alga_clients_list(&input);
    return performed(reply.error, alga_clients_list_reply_fields, &reply, 0);
  }
  if (alga_equals(operation, "clients.get")) {
    alga_client_ref input = {0};
    alga_read_fields(body, alga_client_ref_fields, &input);
    alga_clients_get_reply reply = alga_clients_get(input.client_id);
    return performed(reply.error, alga_clients_get_reply_fields, &reply, "client");
  }
  if (alga_equals(operation, "http.fetch")) {
    alga_fetch_input input = {0};
    alga_read_fields(body, alga_fetch_input_fields, &input);
    alga_http_fetch_reply reply = alga_http_fetch(&input);
    return performed(reply.error, alga_http_fetch_reply_fields, &reply, 0);
  }
  if (alga_equals(operation, "invoicing.create-manual-invoice")) {
    alga_create_manual_invoice_input input = {0};
    alga_read_fields(body, alga_create_manual_invoice_input_fields, &input);
    alga_invoicing_create_manual_invoice_reply reply = alga_invoicing_create_manual_invoice(&input);
    return performed(reply.error, alga_invoicing_create_manual_invoice_reply_fields, &reply, 0);
  }
  if (alga_equals(operation, "secrets.get")) {
    alga_secret_ref input = {0};
    alga_read_fields(body, alga_secret_ref_fields, &input);
    alga_secrets_get_reply reply = alga_secrets_get(input.key);
    return performed(reply.error, alga_secrets_get_reply_fields, &reply, "value");
  }
  if (alga_equals(operation, "secrets.list-keys")) {
    alga_secrets_list_keys_reply reply = alga_secrets_list_keys();
    return performed(reply.error, alga_secrets_list_keys_reply_fields, &reply, "keys");
  }
  if (alga_equals(operation, "services.list")) {
    alga_services_list_input input = {0};
    alga_read_fields(body, alga_services_list_input_fields, &input);
    alga_services_list_reply reply = alga_services_list(&input);
    return performed(reply.error, alga_services_list_reply_fields, &reply, 0);
  }
  if (alga_equals(operation, "services.get")) {
    alga_service_ref input = {0};
    alga_read_fields(body, alga_service_ref_fields, &input);
    alga_services_get_reply reply = alga_services_get(input.service_id);
    return performed(reply.error, alga_services_get_reply_fields, &reply, "service");
  }
  if (alga_equals(operation, "storage.get")) {
    alga_storage_key input = {0};
    alga_read_fields(body, alga_storage_key_fields, &input);
    alga_storage_get_reply reply = alga_storage_get(input.namespace, input.key);
    return performed(reply.error, alga_storage_get_reply_fields, &reply, "entry");
  }
  if (alga_equals(operation, "storage.put")) {
    alga_storage_write input = {0};
    alga_read_fields(body, alga_storage_write_fields, &input);
    alga_storage_put_reply reply = alga_storage_put(&input);
    return performed(reply.error, alga_storage_put_reply_fields, &reply, "revision");
  }
  if (alga_equals(operation, "storage.delete")) {
    alga_storage_key input = {0};
    alga_read_fields(body, alga_storage_key_fields, &input);
    return performed(alga_storage_delete(input.namespace, input.key), 0, 0, 0);
  }
  if (alga_equals(operation, "storage.list")) {
    alga_storage_page input = {0};
    alga_read_fields(body, alga_storage_page_fields, &input);
    alga_storage_list_reply reply = alga_storage_list(&input);
    return performed(reply.error, alga_storage_list_reply_fields, &reply, 0);
  }
  if (alga_equals(operation, "ui-proxy.call-route")) {
    alga_route_call input = {0};
    alga_read_fields(body, alga_route_call_fields, &input);
    alga_ui_proxy_call_route_reply reply = alga_ui_proxy_call_route(&input);
    return performed(reply.error, alga_ui_proxy_call_route_reply_fields, &reply, "body");
  }
  if (alga_equals(operation, "user.get")) {
    alga_user_get_reply reply = alga_user_get();
    return performed(reply.error, alga_user_get_reply_fields, &reply, "user");
  }
  return alga_problem(404, TEXT("not-found"), operation);
}
