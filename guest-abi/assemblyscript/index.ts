export { alga_abi_v1, serve } from "./assembly/entry";
export { ContextData } from "./assembly/context";
export * from "./assembly/documents";
export { ContextHost, LoggingHost, SchedulerHost } from "./assembly/host";
export { emptyResponse, ExecuteRequest, ExecuteResponse, HttpHeader, HttpRequest, jsonResponse } from "./assembly/http";
export { fromJson, toJson } from "./assembly/json";
export * from "./assembly/operations";
export { HostError, HostErrorCode } from "./assembly/reply";
export { fail, Result } from "./assembly/result";
export { Handler, problem, Router } from "./assembly/router";
export {
  CreateScheduleInput, CreateScheduleResult, DeleteScheduleResult, EndpointInfo, ScheduleInfo, SchedulePolicies,
  UpdateScheduleInput, UpdateScheduleResult,
} from "./assembly/schedule";
export { Kind, Value } from "./assembly/value";
