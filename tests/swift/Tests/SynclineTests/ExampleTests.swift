import Foundation
import XCTest

@testable import Syncline

// example
struct TodoTask: Codable, Sendable {
  var title: String
  var done = false
}
// end

// example
struct Photo: Codable, Equatable, Sendable {
  var name: String
  var bytes: Data
}
// end

/// What docs/native.md quotes.
final class ExampleTests: ServerTestCase {
  func testWritingAndReading() async throws {
    let (url, token) = (server.url, try await server.token("ada"))
    let directory = folder.appendingPathComponent("tasks").path
    // example
    let client = try await SyncClient.open(ClientOptions(url: url, directory: directory, token: token))
    let id = try await client.newId()
    try await client.create(room: "user:ada", collection: "tasks", id: id, TodoTask(title: "Buy milk"))
    try await client.update(room: "user:ada", collection: "tasks", id: id) {
      try $0.set("done", true)
      $0.increment("edits", by: 1)
    }
    let task = try await client.document(room: "user:ada", collection: "tasks", id: id)?.decode(TodoTask.self)
    // end
    XCTAssertEqual(task?.done, true)
    try await client.close()
  }

  func testALiveQuery() async throws {
    let client = try await open("a")
    try await client.create(room: "user:ada", collection: "tasks", id: "a", TodoTask(title: "Buy milk"))
    var shown: [String] = []
    func render(_ titles: [String]) -> Bool {
      shown = titles
      return shown.isEmpty
    }
    // example
    let open = Query(
      room: "user:ada", collection: "tasks", filterJson: #"{"ne": ["done", true]}"#, orderBy: [OrderBy("title")],
      limit: 20)
    for try await results in client.watch(open) {
      let goesOn = render(try results.documents.map { try $0.decode(TodoTask.self).title })
      if !goesOn { break }
    }
    // end
    XCTAssertEqual(shown, ["Buy milk"])
    try await client.close()
  }

  func testErrorsAndCancelling() async throws {
    let client = try await open("a", connect: false)
    var told: String?
    try await client.setNetwork(available: false, expensive: false, kind: "none")
    // example
    do {
      try await client.connect()
    } catch let error as SyncError {
      switch error.retry {
      case .later: told = "offline for now (\(error.code))"
      case .afterAuth: told = "sign in again"
      case .never: told = error.message
      }
    }
    // end
    XCTAssertEqual(told, "offline for now (offline)")
    try await client.setNetwork(available: true, expensive: false, kind: "wifi")
    // example
    // A cancelled task ends what waits for the server, in Rust too, with CancellationError.
    let syncing = Task { try await client.syncOnce(deadlineMs: 25_000) }
    syncing.cancel()
    // end
    _ = await syncing.result
    XCTAssertTrue(syncing.isCancelled)
    try await client.close()
  }

  func testAConflictThatTheAppDecides() async throws {
    let client = try await open("a", conflict: .manual)
    let other = try await open("b")
    try await client.create(room: room, collection: "tasks", id: "t", TodoTask(title: "first"))
    try await client.flush()
    _ = try await first(of: other.watch(Query(room: room, collection: "tasks"))) { !$0.documents.isEmpty }
    try await client.disconnect()
    try await other.update(room: room, collection: "tasks", id: "t") { try $0.set("title", "theirs") }
    try await other.flush()
    try await client.update(room: room, collection: "tasks", id: "t") { try $0.set("title", "mine") }
    try await client.connect()
    _ = try await client.syncOnce(deadlineMs: patienceS * 1000)
    // example
    for write in try await client.conflicts() {
      let merged = #"{"title": "mine, and theirs", "done": false}"#
      try await client.resolveConflict(write.clientSeq, .merged(fieldsJson: merged))
    }
    // end
    try await client.flush()
    let task = try await client.document(room: room, collection: "tasks", id: "t")?.decode(TodoTask.self)
    XCTAssertEqual(task?.title, "mine, and theirs")
    try await client.close()
    try await other.close()
  }

  func testWhoIsThere() async throws {
    let client = try await open("a")
    // example
    for try await members in client.presence(room: "list:9", state: ["typing": true]) {
      if members.contains(where: \.me) { break }
    }
    // end
    try await client.close()
  }

  func testTheLifeOfAnAppAndARoundInTheBackground() async throws {
    let client = try await open("a")
    // example
    try await client.setAppState(.background)
    let report = try await client.syncOnce(deadlineMs: 25_000)
    if !report.complete { print("\(report.pending) writes wait: \(report.reason?.message ?? "")") }
    // end
    XCTAssertTrue(report.complete)
    try await client.close()
  }

  func testEncryptionAndANewKey() async throws {
    let (oldKey, newKey) = (Data(repeating: 1, count: 32), Data(repeating: 2, count: 32))
    let (url, directory) = (server.url, folder.appendingPathComponent("sealed").path)
    let before = ClientOptions(url: url, directory: directory, token: nil, autoConnect: false, encryptionKey: oldKey)
    try await SyncClient.open(before).close()
    // example
    let client = try await SyncClient.open(
      ClientOptions(
        url: url, directory: directory, token: nil, autoConnect: false, encryptionKey: newKey,
        previousEncryptionKeys: [oldKey]))
    // end
    try await client.close()
  }

  func testTheLog() async throws {
    let lines = Broadcast<String>()
    let show: @Sendable (String) -> Void = { if $0.hasPrefix("syncline.connected: ") { lines.send($0) } }
    // example
    final class Log: LogListener, Sendable {
      let show: @Sendable (String) -> Void

      init(show: @escaping @Sendable (String) -> Void) { self.show = show }

      func onLine(line: LogLine) { show("\(line.event ?? line.target): \(line.message)") }
    }
    try setLogger(level: .info, listener: Log(show: show))
    // end
    let client = try await open("a", connect: false)
    try await client.connect()
    _ = try await first(of: lines.stream()) { !$0.isEmpty }
    try setLogger(level: .off, listener: nil)
    try await client.close()
  }
}

/// The examples that need a backend of the app's own.
final class BackendExampleTests: BackendTestCase {
  func testJobsAndTheirHandlers() async throws {
    let client = try await plain()
    let done = client.events()
    let bytes = Data([0, 255])
    @Sendable func resize(_ photo: Photo) async throws -> Data { photo.bytes.prefix(1) }
    // example
    let events = client.events()
    let working = Task {
      for await case .jobLeased(let job, let lease, _, _, let payload, _, _) in events {
        do {
          try await client.jobs.complete(job, lease: lease, try await resize(payload.decode()))
        } catch {
          try? await client.jobs.fail(job, lease: lease, .network, "\(error)")
        }
      }
    }
    try await client.jobs.registerHandlers(["resize"])
    let photo = Photo(name: "a.jpg", bytes: bytes)
    try await client.jobs.enqueue(JobRequest(task: .handler(key: "resize", payload: try Parcel(photo))))
    // end
    _ = try await first(of: done) { if case .jobDone = $0 { true } else { false } }
    working.cancel()
    try await client.close()
  }

  func testTheAppsOwnEvents() async throws {
    let client = try await plain()
    try await client.connect()
    let told = client.events()
    let bytes = Data([0, 255])
    // example
    try await client.socket.on("news:*")
    try await client.socket.emit("announce", "today")
    let photo = Photo(name: "a.jpg", bytes: bytes)
    let answer = try await client.socket.emitWithAck("develop", Argument(encoding: photo), timeoutMs: 5_000)
    let developed = try answer.first?.decode(Photo.self)
    // end
    XCTAssertEqual(developed, Photo(name: "a.jpg", bytes: Data([255, 0])))
    _ = try await first(of: told) { if case .message = $0 { true } else { false } }
    try await client.close()
  }
}
