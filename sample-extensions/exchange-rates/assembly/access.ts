import { ExecuteRequest, ExecuteResponse, HostBindings, jsonResponse, Value } from "alga-guest";

/** `GET /access`: whom the extension works for, and which secrets it has, by name. */
export function access(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const asking = host.user.get();
  const user = asking.error === null ? asking.value : null;
  const keys = host.secrets.listKeys().orFail();
  const secrets = Value.list();
  for (let i = 0; i < keys.length; i++) secrets.push(Value.text(keys[i]));
  return jsonResponse(
    Value.map()
      .set("user", user === null ? Value.nil() : Value.text(user.userName))
      .set("secrets", secrets),
  );
}
