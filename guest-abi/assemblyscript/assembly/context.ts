import { Value } from "./value";

/** Who calls, and why. `trigger` is `schedule` when a schedule fired; then the fields below it are set, and the name if there is one. */
export class ContextData {
  requestId: string | null = null;
  tenantId: string = "";
  extensionId: string = "";
  installId: string | null = null;
  versionId: string | null = null;
  /** The install's configuration: a map, as a rule of text to text. */
  config: Value = Value.map();
  trigger: string | null = null;
  scheduleId: string | null = null;
  /** When the schedule was due, RFC 3339 in UTC; the execution may start later. */
  nominalTime: string | null = null;
  scheduleName: string | null = null;
  /** The zone whose clock the schedule follows, as the IANA database names it. */
  scheduleTimezone: string | null = null;
  /** Counts the attempts at `nominalTime` from 1; 0 when no schedule fired. */
  attempt: i64 = 0;
  /** When this run began, RFC 3339 in UTC. */
  startedAt: string | null = null;
}

/** The context that `value` holds; missing members stay empty. */
export function decodeContext(value: Value | null): ContextData {
  const result = new ContextData();
  if (value === null) return result;
  const tenantId = value.getText("tenantId");
  const extensionId = value.getText("extensionId");
  const config = value.get("config");
  if (tenantId !== null) result.tenantId = tenantId;
  if (extensionId !== null) result.extensionId = extensionId;
  if (config !== null) result.config = config;
  result.requestId = value.getText("requestId");
  result.installId = value.getText("installId");
  result.versionId = value.getText("versionId");
  result.trigger = value.getText("trigger");
  result.scheduleId = value.getText("scheduleId");
  result.nominalTime = value.getText("nominalTime");
  result.scheduleName = value.getText("scheduleName");
  result.scheduleTimezone = value.getText("scheduleTimezone");
  result.attempt = value.getInt("attempt");
  result.startedAt = value.getText("startedAt");
  return result;
}
