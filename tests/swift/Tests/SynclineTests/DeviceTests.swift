import Foundation
import XCTest

@testable import Syncline

/// What concerns the device: its disk, its log, its app and network.
final class DeviceTests: ServerTestCase {
  private func key(_ byte: UInt8) -> Data { Data(repeating: byte, count: 32) }

  private func openSealed(_ key: Data?, previous: [Data] = []) async throws -> SyncClient {
    let options = ClientOptions(
      url: server.url, directory: folder.appendingPathComponent("sealed").path, token: try await server.token("ada"),
      autoConnect: false, encryptionKey: key, previousEncryptionKeys: previous)
    return try await SyncClient.open(options)
  }

  func testAnotherKeyOpensNothing() async throws {
    let a = try await openSealed(key(1))
    try await a.create(room: room, collection: "notes", id: "n", Note(title: "secret", likes: 0))
    try await a.close()
    for wrong in [key(2), nil] {
      let refused = try await failure { _ = try await self.openSealed(wrong) }
      XCTAssertEqual(refused.code, "wrong_key")
      XCTAssertEqual(refused.retry, .never)
    }
    let malformed = try await failure { _ = try await self.openSealed(Data([1, 2, 3])) }
    XCTAssertEqual(malformed.code, "invalid")
  }

  func testAKeyIsChangedByNamingTheOneBefore() async throws {
    let a = try await openSealed(key(1))
    try await a.create(room: room, collection: "notes", id: "n", Note(title: "kept", likes: 0))
    try await a.close()
    let rotated = try await openSealed(key(2), previous: [key(1)])
    try await rotated.close()
    let refused = try await failure { _ = try await self.openSealed(self.key(1)) }
    XCTAssertEqual(refused.code, "wrong_key")
    let again = try await openSealed(key(2))
    try await again.connect()
    try await again.flush()
    let kept = try await again.document(room: room, collection: "notes", id: "n")
    XCTAssertEqual(try kept?.decode(Note.self).title, "kept")
    try await again.close()
  }

  func testAClientWhoseFirstCallsFailLeavesItsDirectoryFree() async throws {
    let options = ClientOptions(
      url: server.url, directory: folder.appendingPathComponent("a").path, token: nil, autoConnect: false)
    let failed = try await failure {
      _ = try await SyncClient.open(options) { _, _ in throw SyncError(code: "internal", retry: .later, message: "no") }
    }
    XCTAssertEqual(failed.code, "internal")
    let again = try await SyncClient.open(options)
    try await again.close()
  }

  func testTheLogReachesItsListenerAndNamesItsEvents() async throws {
    let log = Log()
    try setLogger(level: .debug, listener: log)
    defer { XCTAssertNoThrow(try setLogger(level: .off, listener: nil)) }
    let a = try await open("a", connect: false)
    try await a.connect()
    let line = try await first(of: log.lines.stream()) { $0.event == "syncline.connected" }
    XCTAssertGreaterThan(line.atMs, 0)
    try await a.close()
  }

  func testAListenerThatThrowsIsLoggedAndCountedAndHearsTheNextEvent() async throws {
    let log = Failures()
    try setLogger(level: .error, listener: log)
    defer { XCTAssertNoThrow(try setLogger(level: .off, listener: nil)) }
    let options = ClientOptions(url: server.url, directory: nil, token: nil, autoConnect: false)
    let client = try await SynclineClient.open(options: options, listener: Throwing())
    for number in 1...3 {
      _ = try await client.create(room: room, collection: "notes", id: "n\(number)", fieldsJson: "{}")
      // A panic would say so.
      _ = try await first(of: log.messages.stream()) { $0 == "the app's listener threw failures=\(number)" }
    }
    try await client.close()
  }

  func testAListenerMayCallTheClientBackAndWaitForTheAnswer() async throws {
    let asking = Asking()
    let options = ClientOptions(url: server.url, directory: nil, token: nil, autoConnect: false)
    let client = try await SynclineClient.open(options: options, listener: asking)
    asking.client.send(client)
    _ = try await client.create(room: room, collection: "notes", id: "n", fieldsJson: "{}")
    let count = try await first(of: asking.counts.stream()) { _ in true }
    XCTAssertEqual(count, 1)
    try await client.close()
  }

  func testTheFiguresCountAndTheTraceTells() async throws {
    let a = try await open("a", connect: false)
    try await a.create(room: room, collection: "notes", id: "n", Note(title: "counted", likes: 0))
    try await a.connect()
    let query = Query(room: room, collection: "notes", id: "n")
    _ = try await first(of: a.watch(query)) { $0.documents.first?.pending == false }
    let stats = try Json.parse(try await a.statsJson())
    XCTAssertEqual(stats["localWrites"], .number(1))
    XCTAssertEqual(stats["confirmed"], .number(1))
    let kinds = try Json.parse(try await a.traceJson()).items?.compactMap { $0["kind"]?.string } ?? []
    let order = (kinds.firstIndex(of: "connect"), kinds.firstIndex(of: "connected"))
    XCTAssertLessThan(try XCTUnwrap(order.0), try XCTUnwrap(order.1), "\(kinds)")
    try await a.close()
  }

  func testTheConnectionFollowsTheNetworkAndTheApp() async throws {
    let a = try await open("a", connect: false)
    try await a.setNetwork(available: false, expensive: false, kind: "none")
    let refused = try await failure { try await a.connect() }
    XCTAssertEqual(refused.code, "offline")
    XCTAssertEqual(refused.retry, .later)
    let offline = try await first(of: a.connection) { $0.state == .offline }
    XCTAssertEqual(offline.reason?.retry, .later)
    try await a.setNetwork(available: true, expensive: true, kind: "cellular")
    // Whose token it is comes with the server's hello.
    _ = try await first(of: a.connection) { $0.state == .open && $0.userId == "ada" }
    try await a.disconnect()
    try await a.setAppState(.background)
    let pull = try await failure { try await a.pull() }
    XCTAssertEqual(pull.code, "offline")
    try await a.setAppState(.active)
    try await a.connect()
    try await a.close()
  }

  func testATokenIsAskedForAndCuresARefusal() async throws {
    let options = ClientOptions(url: server.url, directory: nil, token: nil, autoConnect: false)
    let a = try await SyncClient.open(options)
    let told = a.events()
    let refused = try await failure { try await a.connect() }
    XCTAssertEqual(refused.code, "no_auth_token")
    XCTAssertEqual(refused.retry, .afterAuth)
    let needed = try await first(of: told) { if case .tokenNeeded = $0 { true } else { false } }
    guard case .tokenNeeded(let reason, let request) = needed else { return XCTFail("\(needed)") }
    XCTAssertEqual(reason.retry, .afterAuth)
    try await a.tokenFailed(request, "signed out", retryable: false)
    try await a.setToken(try await server.token("ada"))
    _ = try await first(of: a.connection) { $0.state == .open }
    try await a.close()
  }

  func testATokenThatIsNeededWhileTheClientOpensIsToldToTheFirstWhoListens() async throws {
    let options = ClientOptions(url: server.url, directory: nil, token: nil, autoConnect: true)
    let a = try await SyncClient.open(options)
    _ = try await first(of: a.connection) { $0.reason?.code == "no_auth_token" }
    _ = try await first(of: a.events()) { if case .tokenNeeded = $0 { true } else { false } }
    try await a.close()
  }

  func testPresenceIsUpdatedAndEnds() async throws {
    let a = try await open("a")
    let b = try await open("b")
    let told = b.events()
    let present = Task { for try await _ in b.presence(room: "list:9", state: ["typing": true]) {} }
    _ = try await first(of: told) { if case .presence = $0 { true } else { false } }
    try await b.updatePresence(room: "list:9", ["at": 3])
    let seen = try await first(of: a.presence(room: "list:9", state: [String: Bool]())) { members in
      members.contains { !$0.me && $0.stateJson.contains(#""at":3"#) }
    }
    XCTAssertEqual(seen.count, 2)
    present.cancel()
    try await a.close()
    try await b.close()
  }
}

private final class Log: LogListener, Sendable {
  let lines = Broadcast<LogLine>()

  func onLine(line: LogLine) {
    // A slow follower of a broadcast sees the newest only: what is looked for stays.
    if line.event == "syncline.connected" { lines.send(line) }
  }
}

private struct Mistake: Error {}

private final class Throwing: ClientListener, Sendable {
  func onEvents(events: [ClientEvent]) throws { throw Mistake() }
}

/// Takes no other events until the client has said how much is queued.
private final class Asking: ClientListener, Sendable {
  let client = Broadcast<SynclineClient>()
  let counts = Broadcast<UInt64>()

  func onEvents(events: [ClientEvent]) {
    guard let client = client.value, counts.value == nil else { return }
    let answered = DispatchSemaphore(value: 0)
    Task {
      if let queue = try? await client.queue() { counts.send(queue.count) }
      answered.signal()
    }
    answered.wait()
  }
}

/// What is logged of a listener that failed.
private final class Failures: LogListener, Sendable {
  let messages = Broadcast<String>()

  func onLine(line: LogLine) {
    if line.event == "syncline.listener_failed" { messages.send(line.message) }
  }
}
