import Foundation

/// Takes the core's events, on a thread of the core, and keeps what the streams show. Runs no code of the app.
final class EventHub: ClientListener, @unchecked Sendable {
  let connection = Broadcast<ConnectionInfo>()
  let queue = Broadcast<QueueInfo>()
  let progress = Broadcast<ProgressInfo>()

  private let lock = NSLock()
  private var live: [UInt64: LiveRows] = [:]
  private var presence: [String: Presence] = [:]
  /// The last join or leave, which the next one waits for.
  private var turn: Task<Void, Never>?
  private let listeners = Followers<ClientEvent>()
  private var closed = false

  /// What came before anybody listened, such as that a token is needed: for the first who does. Nil from then on.
  private var early: [ClientEvent]? = []
  private static let earlyMax = 256

  /// Watches that are beginning, and what came for watches nobody has claimed meanwhile.
  private var beginning = 0
  private var unclaimed: [ClientEvent] = []

  func onEvents(events: [ClientEvent]) {
    let now = lock.locked { () -> [ClientEvent] in
      events.forEach(take)
      return events.filter { !keepEarly($0) }
    }
    now.forEach(listeners.yield)
  }

  private func take(_ event: ClientEvent) {
    switch event {
    case .connection(let status): connection.send(status)
    case .queue(let status): queue.send(status)
    case .progress(let progress): self.progress.send(progress)
    case .presence(let room, _, _, _): presence[room]?.members.send(event)
    case .rows(let watch, _, _, _, _, _):
      if let rows = live[watch] { rows.apply(event) } else { keep(event) }
    case .room:
      live.values.forEach { $0.apply(event) }
      keep(event)
    default: break
    }
  }

  /// Whether it waits for the first who listens; what a stream of its own shows does not.
  private func keepEarly(_ event: ClientEvent) -> Bool {
    guard var kept = early else { return false }
    switch event {
    case .connection, .queue, .progress, .presence, .rows, .room: return false
    default: break
    }
    if kept.count == Self.earlyMax { kept.removeFirst() }
    kept.append(event)
    early = kept
    return true
  }

  private func keep(_ event: ClientEvent) {
    if beginning > 0 { unclaimed.append(event) }
  }

  /// Begins a watch. Its first events may overtake the answer: they are kept until it is here.
  func begin(_ watch: () async throws -> Watching) async throws -> LiveRows {
    lock.locked { beginning += 1 }
    defer {
      lock.locked {
        beginning -= 1
        if beginning == 0 { unclaimed = [] }
      }
    }
    let rows = LiveRows(try await watch())
    lock.locked {
      unclaimed.forEach { rows.apply($0) }
      if closed { rows.results.finish() } else { live[rows.watch] = rows }
    }
    return rows
  }

  func end(_ rows: LiveRows) {
    lock.locked { live[rows.watch] = nil }
  }

  /// Follows a room, which `announce` tells the core. Each needs its `leave`, unless it throws.
  func join(
    _ room: String, _ announce: @escaping @Sendable () async throws -> Void
  ) async throws -> Broadcast<ClientEvent> {
    try await inTurn { [self] in
      let members = enter(room)
      do {
        try await announce()
      } catch {
        _ = depart(room)
        throw error
      }
      return members
    }
  }

  /// The last one has `tell` the core.
  func leave(_ room: String, _ tell: @escaping @Sendable () async -> Void) async {
    try? await inTurn { [self] in
      if depart(room) { await tell() }
    }
  }

  /// One after the other, also for those who are cancelled: a late leave must not undo the next join.
  private func inTurn<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let task = lock.locked { () -> Task<Value, Error> in
      let task = Task { [before = turn] in
        await before?.value
        return try await work()
      }
      turn = Task { _ = await task.result }
      return task
    }
    return try await task.value
  }

  private func enter(_ room: String) -> Broadcast<ClientEvent> {
    lock.locked {
      var joined = presence[room] ?? Presence()
      joined.count += 1
      if closed { joined.members.finish() } else { presence[room] = joined }
      return joined.members
    }
  }

  /// Whether it was the last.
  private func depart(_ room: String) -> Bool {
    lock.locked {
      guard var joined = presence[room] else { return false }
      joined.count -= 1
      presence[room] = joined.count == 0 ? nil : joined
      return joined.count == 0
    }
  }

  /// Everything that comes, for the first also what came before; who falls behind by more than `kept` misses the oldest.
  func events(kept: Int) -> AsyncStream<ClientEvent> {
    AsyncStream(bufferingPolicy: .bufferingNewest(kept)) { continuation in
      lock.locked {
        early?.forEach { continuation.yield($0) }
        early = nil
        listeners.add(continuation)
      }
    }
  }

  /// Nothing comes any more: every stream ends.
  func close() {
    let (rows, rooms) = lock.locked {
      closed = true
      defer { (live, presence) = ([:], [:]) }
      return (Array(live.values), Array(presence.values))
    }
    rows.forEach { $0.results.finish() }
    rooms.forEach { $0.members.finish() }
    listeners.finish()
    connection.finish()
    queue.finish()
    progress.finish()
  }
}

/// Those who follow the members of one room.
private struct Presence {
  var count = 0
  let members = Broadcast<ClientEvent>()
}

/// The rows of one watch, kept as the core describes it at `ClientEvent.rows`.
final class LiveRows: Sendable {
  let watch: UInt64
  let results: Broadcast<Results>

  init(_ watching: Watching) {
    watch = watching.watch
    let documents = watching.rows.map(Document.init)
    results = Broadcast(Results(documents: documents, count: watching.count, room: watching.room))
  }

  func apply(_ event: ClientEvent) {
    switch event {
    case .rows(watch, let reset, let upserted, let removed, let indexes, let count):
      let upserted = upserted.map(Document.init)
      results.update { before in
        let documents = reset ? upserted : Self.merged(before.documents, upserted, removed, indexes)
        return Results(documents: documents, count: count ?? before.count, room: before.room)
      }
    case .room(let status):
      guard results.value?.room.room == status.room else { return }
      results.update { Results(documents: $0.documents, count: $0.count, room: status) }
    default: break
    }
  }

  private static func merged(
    _ before: [Document], _ upserted: [Document], _ removed: [String], _ indexes: [UInt64]?
  ) -> [Document] {
    let gone = Set(removed).union(upserted.map(\.id))
    let stay = before.filter { !gone.contains($0.id) }
    // The core orders ids by code points, as UTF-8 does; Swift compares what they look like.
    guard let indexes else {
      return (stay + upserted).sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }
    }
    var merged: [Document] = []
    merged.reserveCapacity(stay.count + upserted.count)
    var rest = stay[...]
    for (document, index) in zip(upserted, indexes) {
      while merged.count < Int(clamping: index), let next = rest.popFirst() { merged.append(next) }
      merged.append(document)
    }
    return merged + rest
  }
}
