// Promises whose jobs run when `settle` is called.
//
// The QuickJS build is synchronous: it returns from the handler before the engine runs a job of a promise. The build
// compiles `async` to generators over the global `Promise`, which is this one.

type Job = () => void;
type Settled = { ok: boolean; value: unknown };

const jobs: Job[] = [];

function isThenable(value: unknown): value is { then: unknown } {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

export class JobPromise {
  #settled: Settled | undefined;
  #resolved = false;
  #waiting: ((settled: Settled) => void)[] = [];

  constructor(executor: (resolve: (value?: unknown) => void, reject: (reason?: unknown) => void) => void) {
    try {
      executor((value) => this.#resolve(value), (reason) => this.#reject(reason));
    } catch (error) {
      this.#reject(error);
    }
  }

  #resolve(value: unknown): void {
    if (this.#resolved) return;
    this.#resolved = true;
    this.#follow(value);
  }

  #reject(reason: unknown): void {
    if (this.#resolved) return;
    this.#resolved = true;
    this.#settle({ ok: false, value: reason });
  }

  #follow(value: unknown): void {
    if (value === this) return this.#settle({ ok: false, value: new TypeError("A promise cannot resolve to itself") });
    if (!isThenable(value)) return this.#settle({ ok: true, value });
    let then: unknown;
    try {
      then = value.then;
    } catch (error) {
      return this.#settle({ ok: false, value: error });
    }
    if (typeof then !== "function") return this.#settle({ ok: true, value });
    jobs.push(() => {
      let called = false;
      const once = (act: (value: unknown) => void) => (given: unknown) => {
        if (called) return;
        called = true;
        act(given);
      };
      const reject = once((reason) => this.#settle({ ok: false, value: reason }));
      try {
        (then as Function).call(value, once((next) => this.#follow(next)), reject);
      } catch (error) {
        reject(error);
      }
    });
  }

  #settle(settled: Settled): void {
    this.#settled = settled;
    for (const notify of this.#waiting) jobs.push(() => notify(settled));
    this.#waiting = [];
  }

  /** How it ended; `undefined` while it has not. */
  get settled(): Settled | undefined {
    return this.#settled;
  }

  then(onFulfilled?: unknown, onRejected?: unknown): JobPromise {
    return new JobPromise((resolve, reject) => {
      const notify = (settled: Settled): void => {
        const react = settled.ok ? onFulfilled : onRejected;
        if (typeof react !== "function") return settled.ok ? resolve(settled.value) : reject(settled.value);
        try {
          resolve(react(settled.value));
        } catch (error) {
          reject(error);
        }
      };
      const settled = this.#settled;
      if (settled) jobs.push(() => notify(settled));
      else this.#waiting.push(notify);
    });
  }

  catch(onRejected?: unknown): JobPromise {
    return this.then(undefined, onRejected);
  }

  finally(react?: () => unknown): JobPromise {
    if (typeof react !== "function") return this.then(react, react);
    return this.then(
      (value: unknown) => JobPromise.resolve(react()).then(() => value),
      (reason: unknown) =>
        JobPromise.resolve(react()).then(() => {
          throw reason;
        }),
    );
  }

  static resolve(value?: unknown): JobPromise {
    return value instanceof JobPromise ? value : new JobPromise((resolve) => resolve(value));
  }

  static reject(reason?: unknown): JobPromise {
    return new JobPromise((_, reject) => reject(reason));
  }

  static withResolvers(): { promise: JobPromise; resolve: (value?: unknown) => void; reject: (reason?: unknown) => void } {
    let resolve!: (value?: unknown) => void;
    let reject!: (reason?: unknown) => void;
    const promise = new JobPromise((...both) => ([resolve, reject] = both));
    return { promise, resolve, reject };
  }

  static try(act: (...given: unknown[]) => unknown, ...given: unknown[]): JobPromise {
    return new JobPromise((resolve) => resolve(act(...given)));
  }

  static all(values: Iterable<unknown>): JobPromise {
    return collect(values, (promise, place, results, done, fail) =>
      promise.then((value: unknown) => {
        results[place] = value;
        done();
      }, fail),
    );
  }

  static allSettled(values: Iterable<unknown>): JobPromise {
    return collect(values, (promise, place, results, done) =>
      promise.then(
        (value: unknown) => {
          results[place] = { status: "fulfilled", value };
          done();
        },
        (reason: unknown) => {
          results[place] = { status: "rejected", reason };
          done();
        },
      ),
    );
  }

  static race(values: Iterable<unknown>): JobPromise {
    return new JobPromise((resolve, reject) => {
      for (const value of values) JobPromise.resolve(value).then(resolve, reject);
    });
  }

  static any(values: Iterable<unknown>): JobPromise {
    return new JobPromise((resolve, reject) => {
      const reasons: unknown[] = [];
      let left = 0;
      for (const value of values) {
        const place = left++;
        JobPromise.resolve(value).then(resolve, (reason: unknown) => {
          reasons[place] = reason;
          if (--left === 0) reject(new AggregateError(reasons, "All promises were rejected"));
        });
      }
      if (left === 0) reject(new AggregateError(reasons, "All promises were rejected"));
    });
  }
}

function collect(
  values: Iterable<unknown>,
  watch: (
    promise: JobPromise,
    place: number,
    results: unknown[],
    done: () => void,
    fail: (reason: unknown) => void,
  ) => void,
): JobPromise {
  return new JobPromise((resolve, reject) => {
    const promises = [...values].map((value) => JobPromise.resolve(value));
    const results: unknown[] = new Array(promises.length);
    let left = promises.length;
    if (left === 0) resolve(results);
    promises.forEach((promise, place) =>
      watch(promise, place, results, () => --left === 0 && resolve(results), reject),
    );
  });
}

export function queueJob(job: Job): void {
  jobs.push(job);
}

/** Run every job, and return what `value` became. Throws its reason, or an error if it never settles. */
export function settle(value: unknown): unknown {
  const promise = JobPromise.resolve(value);
  for (let next = jobs.shift(); next; next = jobs.shift()) next();
  const settled = promise.settled;
  if (!settled) throw new Error("The handler waits for a promise that nothing settles.");
  if (!settled.ok) throw settled.value;
  return settled.value;
}
