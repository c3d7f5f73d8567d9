import { ExecuteRequest, ExecuteResponse, fail, FetchInput, fromJson, HostBindings, HttpHeader, jsonResponse, problem, Value } from "alga-guest";

const SERVICE = "https://rates.example.com";

/** `GET /rates?base=EUR`: the rates that another server has, asked with the install's secret `rates_key`. */
export function rates(request: ExecuteRequest, host: HostBindings): ExecuteResponse {
  const base = request.http.query("base");
  if (base === null || !isCurrency(base)) {
    return problem(400, "validation-failed", "Name a currency of three letters, as in ?base=EUR.");
  }
  const key = host.secrets.get("rates_key");
  const missing = key.error;
  if (missing !== null) return problem(503, missing.code, "This install has no secret rates_key that can be used: an admin sets it.");

  const asked = new FetchInput("GET", service(request) + "/v1/latest?base=" + base);
  asked.headers = [new HttpHeader("authorization", "Bearer " + key.orFail()), new HttpHeader("accept", "application/json")];
  const fetched = host.http.fetch(asked);
  const error = fetched.error;
  // The message names a rule of the operator's that is missing.
  if (error !== null) fail(error);
  const answer = fetched.orFail();
  if (answer.status != 200) {
    return problem(502, "rates-unavailable", "The server of the rates answered " + answer.status.toString() + ".");
  }
  const document = fromJson(String.UTF8.decodeUnsafe(answer.body.dataStart, answer.body.length));
  const found: Value | null = document === null ? null : document.get("rates");
  if (found === null) return problem(502, "rates-unavailable", "The answer of the server of the rates has no rates.");
  return jsonResponse(Value.map().set("base", Value.text(base)).set("rates", found));
}

/** Where the rates come from: an admin may configure another server, which the operator has to allow, too. */
function service(request: ExecuteRequest): string {
  const configured = request.context.config.getText("service");
  return configured === null ? SERVICE : configured;
}

function isCurrency(text: string): bool {
  if (text.length != 3) return false;
  for (let i = 0; i < 3; i++) {
    const letter = text.charCodeAt(i);
    if (letter < 0x41 || letter > 0x5a) return false;
  }
  return true;
}
