/// What went wrong.
public struct SyncError: Error, Equatable, Sendable {
  /// Stable, and the same in every language: `unauthorized`, `queue_full`, `offline` …
  public let code: String
  /// What helps.
  public let retry: RetryClass
  public let message: String

  public var isRetryable: Bool { retry != .never }
}

/// Runs a call of the generated binding, and gives its errors their form here.
func translating<Value>(_ call: () async throws -> Value) async throws -> Value {
  do {
    return try await call()
  } catch let SynclineError.Failed(code, reason, _, retry) {
    throw SyncError(code: code, retry: retry, message: reason)
  } catch SynclineError.Cancelled {
    throw CancellationError()
  }
}

/// Runs a call that waits for others, and ends it with its task: a cancelled task does not reach Rust by itself.
func cancellable<Value>(
  _ core: SynclineClient, _ call: (SynclineClient) async throws -> Value
) async throws -> Value {
  let handle = CancelHandle()
  let core = core.withCancel(handle: handle)
  return try await withTaskCancellationHandler {
    try await translating { try await call(core) }
  } onCancel: {
    handle.cancel()
  }
}
