import * as abi from "./abi";
import { ContextData, decodeContext } from "./context";
import { listOf } from "./members";
import { SCRATCH, SCRATCH_SIZE, takeReply } from "./reply";
import { Result } from "./result";
import {
  CreateScheduleInput, CreateScheduleResult, decodeEndpoint, decodeSchedule, DeleteScheduleResult, EndpointInfo,
  ScheduleInfo, UpdateScheduleInput, UpdateScheduleResult,
} from "./schedule";
import { Value } from "./value";
import { encode } from "./writer";

/** This install's schedules. Every call needs `cap:scheduler.manage`. */
export class SchedulerHost {
  /** All schedules, oldest first. An empty list always means that there are none. */
  list(): Result<Array<ScheduleInfo>> {
    const request = encode(Value.map());
    const reply = takeReply(abi.schedulerList(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE));
    return listOf<ScheduleInfo>(reply, "schedules", decodeSchedule);
  }

  /** One schedule; neither value nor error when this install has none with that id. */
  get(scheduleId: string): Result<ScheduleInfo> {
    const request = encode(reference(scheduleId));
    const reply = takeReply(abi.schedulerGet(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE));
    const found = reply.value.get("schedule");
    if (found === null || found.isNil()) return new Result<ScheduleInfo>(null, reply.error);
    return new Result<ScheduleInfo>(decodeSchedule(found), null);
  }

  create(input: CreateScheduleInput): CreateScheduleResult {
    const request = encode(input.toValue());
    const reply = takeReply(abi.schedulerCreate(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE));
    return new CreateScheduleResult(reply.value.getText("scheduleId"), reply.error);
  }

  /** Change what `input` names; a schedule that this install does not have is `not-found`. */
  update(scheduleId: string, input: UpdateScheduleInput): UpdateScheduleResult {
    const request = encode(input.toValue(scheduleId));
    const reply = takeReply(abi.schedulerUpdate(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE));
    return new UpdateScheduleResult(scheduleId, reply.error);
  }

  /** Delete a schedule; one that this install does not have is `not-found`. */
  delete(scheduleId: string): DeleteScheduleResult {
    const request = encode(reference(scheduleId));
    const reply = takeReply(abi.schedulerDelete(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE));
    return new DeleteScheduleResult(scheduleId, reply.error);
  }

  /** The endpoints of the installed version, ordered by path. */
  getEndpoints(): Result<Array<EndpointInfo>> {
    const request = encode(Value.map());
    const reply = takeReply(
      abi.schedulerGetEndpoints(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE),
    );
    return listOf<EndpointInfo>(reply, "endpoints", decodeEndpoint);
  }
}

/** The execution's context; the request carries the same. Needs `cap:context.read`, which every install has. */
export class ContextHost {
  get(): Result<ContextData> {
    const request = encode(Value.map());
    const reply = takeReply(abi.contextGet(request.dataStart, request.length, SCRATCH, SCRATCH_SIZE));
    if (reply.error !== null) return new Result<ContextData>(null, reply.error);
    return new Result<ContextData>(decodeContext(reply.value.get("context")), null);
  }
}

/** Lines of the execution's log. A line over 8 KiB is cut; without `cap:log.emit` lines are dropped. */
export class LoggingHost {
  debug(message: string): void {
    emit(0, message);
  }

  info(message: string): void {
    emit(1, message);
  }

  warn(message: string): void {
    emit(2, message);
  }

  error(message: string): void {
    emit(3, message);
  }
}

function reference(scheduleId: string): Value {
  return Value.map().set("scheduleId", Value.text(scheduleId));
}

function emit(level: u32, message: string): void {
  const bytes = String.UTF8.encode(message, false, String.UTF8.ErrorMode.REPLACE);
  abi.emit(level, changetype<usize>(bytes), bytes.byteLength);
}
