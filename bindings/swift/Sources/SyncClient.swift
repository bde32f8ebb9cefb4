import Foundation

/// One client of one server, with its data in one directory. Calls throw `SyncError`; what changes by itself is a stream.
///
/// A task that is cancelled stops waiting for the server, in Rust too, with `CancellationError`. A write that was begun is
/// finished all the same.
public final class SyncClient: Sendable {
  private let core: SynclineClient
  private let hub: EventHub

  private init(core: SynclineClient, hub: EventHub) {
    self.core = core
    self.hub = hub
  }

  /// Opens the data and starts the client.
  public static func open(_ options: ClientOptions) async throws -> SyncClient {
    try await open(options, begin: readStates)
  }

  /// `begin` is what is done before anybody holds the client.
  static func open(
    _ options: ClientOptions, begin: (SynclineClient, EventHub) async throws -> Void
  ) async throws -> SyncClient {
    let hub = EventHub()
    let core = try await translating { try await SynclineClient.open(options: options, listener: hub) }
    let client = SyncClient(core: core, hub: hub)
    do {
      try await translating { try await begin(core, hub) }
    } catch {
      // Nobody holds it, and it would keep its directory.
      try? await client.close()
      throw error
    }
    return client
  }

  private static func readStates(_ core: SynclineClient, _ hub: EventHub) async throws {
    hub.connection.sendFirst(try await core.connection())
    hub.queue.sendFirst(try await core.queue())
  }

  /// What is carried out when it can be.
  public var jobs: JobQueue { JobQueue(core: core) }

  /// The app's own events over the connection.
  public var socket: Socket { Socket(core: core) }

  /// The state now, and each that follows.
  public var connection: AsyncStream<ConnectionInfo> { hub.connection.stream() }

  public var queue: AsyncStream<QueueInfo> { hub.queue.stream() }

  /// How far the current round of synchronization has come.
  public var progress: AsyncStream<ProgressInfo> { hub.progress.stream() }

  /// Everything that the client tells, also what the streams show: outcomes, conflicts, tokens needed. Who falls behind by
  /// more than `kept` misses the oldest.
  public func events(kept: Int = 256) -> AsyncStream<ClientEvent> { hub.events(kept: kept) }

  /// Returns when the session is open, or fails with the first attempt, after which attempts go on.
  public func connect() async throws {
    try await cancellable(core) { try await $0.connect() }
  }

  public func disconnect() async throws {
    try await translating { try await core.disconnect() }
  }

  /// Answers `tokenNeeded`, or comes by itself. `nil` forgets the token.
  public func setToken(_ token: String?) async throws {
    try await translating { try await core.setToken(token: token) }
  }

  /// Answers `tokenNeeded`: there is none now. Asked again later, if `retryable`.
  public func tokenFailed(_ request: UInt64, _ message: String, retryable: Bool = true) async throws {
    try await translating {
      try await core.tokenFailed(request: request, message: message, retryable: retryable)
    }
  }

  public func setAppState(_ state: AppState) async throws {
    try await translating { try await core.setAppState(state: state) }
  }

  /// What the system says of the network; `kind` is `wifi`, `cellular`, `ethernet`, `none` or `unknown`.
  public func setNetwork(available: Bool, expensive: Bool, kind: String) async throws {
    try await translating { try await core.setNetwork(available: available, expensive: expensive, kind: kind) }
  }

  /// Counted: each needs its `unsubscribe`.
  public func subscribe(_ room: String) async throws {
    try await translating { try await core.subscribe(room: room) }
  }

  public func unsubscribe(_ room: String) async throws {
    try await translating { try await core.unsubscribe(room: room) }
  }

  /// A fresh UUIDv7.
  public func newId() async throws -> String {
    try await translating { try await core.newId() }
  }

  public func document(room: String, collection: String, id: String) async throws -> Document? {
    try await translating { try await core.document(room: room, collection: collection, id: id) }.map(Document.init)
  }

  /// Returns the write's number once it is on disk; the fields must encode as an object.
  @discardableResult
  public func create(room: String, collection: String, id: String, _ fields: some Encodable) async throws -> UInt64 {
    let fieldsJson = try json(fields)
    return try await translating {
      try await core.create(room: room, collection: collection, id: id, fieldsJson: fieldsJson)
    }
  }

  /// Returns the write's number once it is on disk.
  @discardableResult
  public func update(
    room: String, collection: String, id: String, _ change: (inout Patch) throws -> Void
  ) async throws -> UInt64 {
    var patch = Patch()
    try change(&patch)
    let patchJson = try patch.encoded()
    return try await translating {
      try await core.update(room: room, collection: collection, id: id, patchJson: patchJson)
    }
  }

  /// Returns the write's number once it is on disk.
  @discardableResult
  public func delete(room: String, collection: String, id: String) async throws -> UInt64 {
    try await translating { try await core.delete(room: room, collection: collection, id: id) }
  }

  /// What the query shows, now and after each change, until the loop over it ends or the client closes.
  public func watch(_ query: Query) -> AsyncThrowingStream<Results, Error> {
    AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
      let task = Task { [core, hub] in
        do {
          let selection = try query.selectionJson()
          let live = try await hub.begin {
            try await translating {
              try await core.watch(
                room: query.room, collection: query.collection, id: query.id, selectionJson: selection)
            }
          }
          for await results in live.results.stream() { continuation.yield(results) }
          hub.end(live)
          try? await core.unwatch(watch: live.watch)
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Announces this client in a room, and tells who is there, until the loop over it ends. Several loops over one room are one
  /// presence, whose state is that of the loop that began last.
  public func presence(room: String, state: some Encodable & Sendable) -> AsyncThrowingStream<[Member], Error> {
    AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
      let task = Task { [core, hub] in
        do {
          let stateJson = try json(state)
          let present = try await hub.join(room) {
            try await translating { try await core.presenceJoin(room: room, stateJson: stateJson) }
          }
          var failure: SyncError?
          for await case .presence(_, let members, _, let error) in present.stream() {
            if let error {
              failure = SyncError(code: error.code, retry: error.retry, message: error.message)
              break
            }
            continuation.yield(members)
          }
          // Before the loop ends: what follows it finds nothing of this one.
          await hub.leave(room) { try? await core.presenceLeave(room: room) }
          continuation.finish(throwing: failure)
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Sets fields of the state, and removes those that are null; with `expiresInMs` they vanish by themselves.
  public func updatePresence(room: String, _ state: some Encodable, expiresInMs: UInt64? = nil) async throws {
    let stateJson = try json(state)
    try await cancellable(core) {
      try await $0.presenceUpdate(room: room, stateJson: stateJson, expiresInMs: expiresInMs)
    }
  }

  /// Writes that the server refused and the app has not acknowledged.
  public func outcomes() async throws -> [RejectedWrite] {
    try await translating { try await core.outcomes() }
  }

  public func acknowledgeOutcome(_ clientSeq: UInt64) async throws {
    try await translating { try await core.acknowledgeOutcome(clientSeq: clientSeq) }
  }

  /// Writes in conflict that wait for `resolveConflict`.
  public func conflicts() async throws -> [ParkedWrite] {
    try await translating { try await core.conflicts() }
  }

  public func resolveConflict(_ clientSeq: UInt64, _ resolution: ConflictResolution) async throws {
    try await translating { try await core.resolveConflict(clientSeq: clientSeq, resolution: resolution) }
  }

  /// Connects without backoff, pulls and drains.
  public func syncNow() async throws {
    try await cancellable(core) { try await $0.syncNow() }
  }

  /// Asks the server what is new in one room, or in all that are subscribed; returns when that is here.
  public func pull(_ room: String? = nil) async throws {
    try await cancellable(core) { try await $0.pull(room: room) }
  }

  /// Sends at once what waits to be sent; returns when the server has answered everything written before.
  public func flush() async throws {
    try await cancellable(core) { try await $0.flush() }
  }

  /// For a background task: connects if need be, pulls and drains; returns at the latest after the deadline.
  public func syncOnce(deadlineMs: UInt64) async throws -> SyncReport {
    try await cancellable(core) { try await $0.syncOnce(deadlineMs: deadlineMs) }
  }

  /// What the client did since it was opened: counts, sizes, times; a JSON object.
  public func statsJson() async throws -> String {
    try await translating { try await core.statsJson() }
  }

  /// The last events of the synchronization, oldest first: a JSON array of `{atMs, kind, detail}`.
  public func traceJson() async throws -> String {
    try await translating { try await core.traceJson() }
  }

  /// Makes everything durable and ends the client. The directory may be opened again when it returns.
  public func close() async throws {
    defer { hub.close() }
    try await translating { try await core.close() }
  }
}
