import Foundation

/// Takes the core's events, on a thread of the core, and keeps what the streams show. Runs no code of the app.
final class EventHub: ClientListener, @unchecked Sendable {
  let connection = Broadcast<ConnectionInfo>()
  let queue = Broadcast<QueueInfo>()
  let progress = Broadcast<ProgressInfo>()

  private let lock = NSLock()
  private var live: [UInt64: LiveRows] = [:]
  private var presence: [String: Broadcast<ClientEvent>] = [:]
  private let listeners = Followers<ClientEvent>()
  private var closed = false

  /// Watches that are beginning, and what came for watches nobody has claimed meanwhile.
  private var beginning = 0
  private var unclaimed: [ClientEvent] = []

  func onEvents(events: [ClientEvent]) {
    lock.locked { events.forEach(take) }
    events.forEach(listeners.yield)
  }

  private func take(_ event: ClientEvent) {
    switch event {
    case .connection(let status): connection.send(status)
    case .queue(let status): queue.send(status)
    case .progress(let progress): self.progress.send(progress)
    case .presence(let room, _, _, _): presence[room]?.send(event)
    case .rows(let watch, _, _, _, _, _):
      if let rows = live[watch] { rows.apply(event) } else { keep(event) }
    case .room:
      live.values.forEach { $0.apply(event) }
      keep(event)
    default: break
    }
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

  /// Follows a room. `false`: somebody does already.
  func join(_ room: String) -> Broadcast<ClientEvent>? {
    lock.locked {
      guard presence[room] == nil else { return nil }
      let members = Broadcast<ClientEvent>()
      presence[room] = members
      return members
    }
  }

  func leave(_ room: String) {
    lock.locked { presence[room] = nil }
  }

  /// Everything that comes; who falls behind by more than `kept` misses the oldest.
  func events(kept: Int) -> AsyncStream<ClientEvent> {
    AsyncStream(bufferingPolicy: .bufferingNewest(kept)) { continuation in
      listeners.add(continuation)
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
    rooms.forEach { $0.finish() }
    listeners.finish()
    connection.finish()
    queue.finish()
    progress.finish()
  }
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
