// Generated from guest-abi/schema by `make docs`.

import { HostBindings, HostError, Value } from "../index";
import {
  decodeClientsListInput, decodeFetchInput, decodeCreateManualInvoiceInput, decodeServicesListInput, decodeStorageWrite,
  decodeStoragePage, decodeRouteCall,
} from "../assembly/documents";
import { textsValue } from "../assembly/members";

export function outcome(value: Value, error: HostError | null): Value {
  return error === null ? Value.map().set("ok", value) : Value.map().set("err", error.toValue());
}

/** `{ok}` or `{err}` of a host call; nil where the operation is unknown. */
export function performOthers(operation: string, input: Value, host: HostBindings): Value {
  if (operation == "clients.list") {
    const result = host.clients.list(decodeClientsListInput(input));
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "clients.get") {
    const result = host.clients.get(input.getText("clientId")!);
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "http.fetch") {
    const result = host.http.fetch(decodeFetchInput(input));
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "invoicing.create-manual-invoice") {
    const result = host.invoicing.createManualInvoice(decodeCreateManualInvoiceInput(input));
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "secrets.get") {
    const result = host.secrets.get(input.getText("key")!);
    return outcome(result.value === null ? Value.nil() : Value.text(result.value!), result.error);
  }
  if (operation == "secrets.list-keys") {
    const result = host.secrets.listKeys();
    return outcome(result.value === null ? Value.nil() : textsValue(result.value!), result.error);
  }
  if (operation == "services.list") {
    const result = host.services.list(decodeServicesListInput(input));
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "services.get") {
    const result = host.services.get(input.getText("serviceId")!);
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "storage.get") {
    const result = host.storage.get(input.getText("namespace")!, input.getText("key")!);
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "storage.put") {
    const result = host.storage.put(decodeStorageWrite(input));
    return outcome(result.value === null ? Value.nil() : Value.int(result.value!.revision), result.error);
  }
  if (operation == "storage.delete") {
    const result = host.storage.delete(input.getText("namespace")!, input.getText("key")!);
    return outcome(Value.nil(), result);
  }
  if (operation == "storage.list") {
    const result = host.storage.list(decodeStoragePage(input));
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  if (operation == "ui-proxy.call-route") {
    const result = host.uiProxy.callRoute(decodeRouteCall(input));
    return outcome(result.value === null ? Value.nil() : Value.binary(result.value!), result.error);
  }
  if (operation == "user.get") {
    const result = host.user.get();
    return outcome(result.value === null ? Value.nil() : result.value!.toValue(), result.error);
  }
  return Value.nil();
}
