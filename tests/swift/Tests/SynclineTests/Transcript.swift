import Foundation

@testable import Syncline

private let folders = ["a", "b", "c"]

/// Where a transcript failed, from 1, and why.
struct TranscriptFailure: Error, CustomStringConvertible {
  let step: Int
  let cause: Error

  var description: String { "step \(step): \(cause)" }
}

/// A scenario of the façade, as every language plays it: see tests/contract/README.md.
struct Transcript: Decodable {
  let title: String
  let needs: [String]?
  let patienceMs: UInt64?
  let failsAt: Int?
  let steps: [Json]

  /// The transcripts of a folder of tests/contract, with their files' names, in order.
  static func all(_ folder: String) throws -> [(String, Transcript)] {
    guard let contract = ProcessInfo.processInfo.environment["SYNCLINE_CONTRACT"] else {
      throw Mismatch("SYNCLINE_CONTRACT names no folder")
    }
    let path = URL(fileURLWithPath: contract).appendingPathComponent(folder)
    let files = try FileManager.default.contentsOfDirectory(at: path, includingPropertiesForKeys: nil)
    let transcripts = files.filter { $0.pathExtension == "json" }
    guard !transcripts.isEmpty else { throw Mismatch("there are no transcripts in \(folder)") }
    return try transcripts.sorted { $0.path < $1.path }.map { file in
      (file.lastPathComponent, try JSONDecoder().decode(Transcript.self, from: Data(contentsOf: file)))
    }
  }

  /// Plays it to its end; throws the step that fails.
  func play(in folder: URL) async throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let player = Player(folder: folder, patienceMs: patienceMs ?? patienceS * 1000)
    let result: Result<Void, Error>
    do {
      for service in needs ?? [] { try player.start(service) }
      for (index, step) in steps.enumerated() {
        do { try await player.play(step) } catch { throw TranscriptFailure(step: index + 1, cause: error) }
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    await jsonCloseAll()
    player.stopAll()
    try result.get()
  }
}

/// What a client told, until a step looks at it.
private final class Events: JsonListener, @unchecked Sendable {
  private let lock = NSLock()
  private var told: [Json] = []
  private var failure: Error?
  private let arrivals = Broadcast<Int>()
  private var count = 0

  func onEvents(client: UInt64, events: Parcel) {
    lock.locked {
      do { told += try attached(events).items ?? [] } catch { failure = error }
      count += 1
      arrivals.send(count)
    }
  }

  /// The first that is of one of the types, if there is any.
  func take(_ types: [String]) throws -> Json? {
    try lock.locked {
      if let failure { throw failure }
      return told.firstIndex { types.contains($0["type"]?.string ?? "") }.map { told.remove(at: $0) }
    }
  }

  func next(_ types: [String], _ patienceMs: UInt64) async throws -> Json {
    let found = try await within(patienceMs) { () -> Json? in
      // The newest arrival comes at once, so none is missed between a look and the wait.
      for await _ in self.arrivals.stream() {
        if let event = try self.take(types) { return event }
      }
      return nil
    }
    guard let event = found ?? nil else { throw Mismatch("no more events of the types \(types)") }
    return event
  }
}

/// What `work` returns, or `nil` when it is late.
private func within<Value: Sendable>(
  _ patienceMs: UInt64, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
  try await withThrowingTaskGroup(of: Value?.self) { group in
    group.addTask { try await work() }
    group.addTask {
      try await Task.sleep(nanoseconds: patienceMs * 1_000_000)
      return nil
    }
    defer { group.cancelAll() }
    return try await group.next() ?? nil
  }
}

private final class Player {
  private let folder: URL
  private let patienceMs: UInt64
  private var bindings = Bindings()
  private var clients: [String: (number: UInt64, events: Events)] = [:]
  private var later: [String: Task<Parcel, Never>] = [:]
  private var server: Server?
  private var backend: Service?

  init(folder: URL, patienceMs: UInt64) {
    self.folder = folder
    self.patienceMs = patienceMs
    for name in folders { bindings.bind("folder.\(name)", folder.appendingPathComponent(name).path) }
  }

  func start(_ service: String) throws {
    if service == "server" {
      let started = try Server(data: folder.appendingPathComponent("server").path, listen: server?.address)
      server = started
      bindings.bind(service, started.url)
    } else {
      let started = try Service(variable: "SYNCLINE_BACKEND_BIN", arguments: [])
      backend = started
      bindings.bind(service, started.url)
    }
  }

  func stopAll() {
    server?.stop()
    backend?.stop()
  }

  func play(_ step: Json) async throws {
    func text(_ key: String) -> String? { step[key]?.string }
    func strings(_ key: String) -> [String] { (step[key]?.items ?? []).compactMap(\.string) }
    if let user = text("token") {
      guard let server, let name = text("as") else { throw Mismatch("a token needs a server and a name") }
      var ttlS: Int?
      if case .number(let seconds)? = step["ttlS"] { ttlS = Int(seconds) }
      bindings.bind(name, try await server.token(user, rooms: strings("rooms"), ttlS: ttlS))
    } else if let name = text("open") {
      try await open(name, step)
    } else if let name = text("call") {
      let (number, sent) = (try client(name).number, try sent(step))
      let reply = Task { await jsonCall(client: number, command: sent) }
      if let later = text("later") { self.later[later] = reply } else { try check(try await answer(reply), step) }
    } else if let name = text("await") {
      guard let reply = later[name] else { throw Mismatch("nothing is awaited as \(name)") }
      try check(try await answer(reply), step)
    } else if let name = text("events") {
      try await expectEvents(try client(name).events, step["are"]?.items ?? [])
    } else if let name = text("until"), let expected = step["event"] {
      let (events, types) = (try client(name).events, [expected["type"]?.string ?? ""])
      while true {
        let event = try await events.next(types, patienceMs)
        if bindings.matches(expected, event) { break }
      }
    } else if let name = text("quiet") {
      if let event = try client(name).events.take(strings("types")) { throw Mismatch("there was \(event)") }
    } else if let call = text("host") {
      try await tellHost(call, step)
    } else if let service = text("stop") {
      if service == "server" { server?.stop() } else { backend?.stop() }
    } else if let service = text("start") {
      try start(service)
    } else {
      throw Mismatch("no step is like \(step)")
    }
  }

  private func client(_ name: String) throws -> (number: UInt64, events: Events) {
    guard let client = clients[name] else { throw Mismatch("no client \(name) was opened") }
    return client
  }

  private func sent(_ step: Json) throws -> Parcel {
    if let text = step["text"]?.string { return Parcel(text: text, attachments: []) }
    guard let sent = step["config"] ?? step["command"] else { throw Mismatch("nothing is sent") }
    return try detached(try bindings.fill(sent))
  }

  private func answer(_ reply: Task<Parcel, Never>) async throws -> Parcel {
    guard let answer = try await within(patienceMs, { await reply.value }) else { throw Mismatch("no answer") }
    return answer
  }

  private func open(_ name: String, _ step: Json) async throws {
    let events = Events()
    let reply = await jsonOpen(config: try sent(step).text, listener: events)
    try check(Parcel(text: reply, attachments: []), step)
    if case .number(let number)? = try Json.parse(reply)["ok"]?["client"] {
      clients[name] = (UInt64(number), events)
    }
  }

  /// Compares the reply envelope with what is expected.
  private func check(_ reply: Parcel, _ step: Json) throws {
    let expected: Json
    if case .object(var error)? = step["error"] {
      error["message"] = .text("$text")
      error["retryable"] = .bool(error["retry"] != .text("never"))
      expected = .object(["error": .object(error)])
    } else {
      guard let answer = step["answer"] else { throw Mismatch("nothing is expected") }
      expected = .object(["ok": answer])
    }
    let actual = try attached(reply)
    guard bindings.matches(expected, actual) else { throw Mismatch("expected \(expected), was \(actual)") }
  }

  /// The next events of the types that are expected must be these, in this order; those of a group in any.
  private func expectEvents(_ events: Events, _ are: [Json]) async throws {
    let groups = are.map { $0["$unordered"]?.items ?? [$0] }
    let types = groups.joined().compactMap { $0["type"]?.string }
    for var group in groups {
      while !group.isEmpty {
        let actual = try await events.next(types, patienceMs)
        guard bindings.takeFitting(&group, actual) else { throw Mismatch("expected \(group), was \(actual)") }
      }
    }
  }

  private func tellHost(_ call: String, _ step: Json) async throws {
    switch call {
    case "setAppState":
      let states: [String: AppState] = ["active": .active, "inactive": .inactive, "background": .background]
      guard let state = states[step["state"]?.string ?? ""] else { throw Mismatch("no such state") }
      Syncline.setAppState(state: state)
    case "setNetwork":
      Syncline.setNetwork(
        available: step["available"] == .bool(true), expensive: step["expensive"] == .bool(true),
        kind: step["kind"]?.string ?? "")
    case "closeAll": await jsonCloseAll()
    default: throw Mismatch("the host has no call \(call)")
    }
  }
}
