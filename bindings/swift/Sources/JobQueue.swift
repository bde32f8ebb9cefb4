/// Events, requests and functions of the app that are carried out as soon as they can be, also after a restart. What
/// becomes of them is told by `SyncClient.events`.
public struct JobQueue: Sendable {
  let core: SynclineClient

  /// Returns when the job is on disk.
  @discardableResult
  public func enqueue(_ request: JobRequest) async throws -> EnqueuedJob {
    try await translating { try await core.enqueue(job: request) }
  }

  /// Jobs that have not ended, by their numbers, after this one; fewer than there are if they are large.
  public func list(after: UInt64 = 0) async throws -> [JobDetails] {
    try await translating { try await core.jobs(after: after) }
  }

  /// Jobs that were given up and wait for `retry` or `drop`.
  public func deadLetters() async throws -> [DeadJob] {
    try await translating { try await core.deadLetters() }
  }

  /// Results that were asked to be kept and are not acknowledged.
  public func results() async throws -> [JobResult] {
    try await translating { try await core.jobResults() }
  }

  public func acknowledge(_ job: UInt64) async throws {
    try await translating { try await core.acknowledgeJob(job: job) }
  }

  /// Queues a dead letter again, as it was or doing `task` instead.
  public func retry(_ job: UInt64, as task: JobTask? = nil) async throws {
    try await translating { try await core.retryJob(job: job, task: task) }
  }

  /// A job that waits does this instead.
  public func edit(_ job: UInt64, to task: JobTask) async throws {
    try await translating { try await core.editJob(job: job, task: task) }
  }

  /// Forgets a job that waits, or a dead letter.
  public func drop(_ job: UInt64) async throws {
    try await translating { try await core.dropJob(job: job) }
  }

  /// Forgets the jobs of these kinds, of all when `nil`, that are not under way; returns how many.
  @discardableResult
  public func clear(_ kinds: [QueuedKind]? = nil, deadLetters: Bool = false) async throws -> UInt64 {
    try await translating { try await core.clearJobs(kinds: kinds, deadLetters: deadLetters) }
  }

  /// Tries each job at most once; returns when all that could be tried is.
  @discardableResult
  public func process() async throws -> ProcessReport {
    try await cancellable(core) { try await $0.processQueue() }
  }

  /// Whether jobs are done without `process`, until the client is closed.
  public func setAutoProcessing(_ enabled: Bool) async throws {
    try await translating { try await core.setAutoProcessing(enabled: enabled) }
  }

  /// The keys whose handlers the app can run from now on; a `jobLeased` event asks for each run.
  public func registerHandlers(_ keys: [String]) async throws {
    try await translating { try await core.registerHandlers(keys: keys) }
  }

  /// Asks for more time for a handler's job.
  public func extendLease(_ job: UInt64, lease: UInt64) async throws {
    try await translating { try await core.extendLease(job: job, lease: lease) }
  }

  /// A handler's job is done.
  public func complete(_ job: UInt64, lease: UInt64, _ result: some Encodable) async throws {
    let result = try Parcel(result)
    try await translating { try await core.completeJob(job: job, lease: lease, result: result) }
  }

  /// A handler's job failed.
  public func fail(
    _ job: UInt64, lease: UInt64, _ category: JobCategory, _ message: String, retryAfterMs: UInt64? = nil
  ) async throws {
    try await translating {
      try await core.failJob(
        job: job, lease: lease, category: category, message: message, retryAfterMs: retryAfterMs)
    }
  }
}
