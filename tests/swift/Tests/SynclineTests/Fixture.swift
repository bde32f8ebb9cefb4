import Foundation
import XCTest

@testable import Syncline

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

let room = "user:ada"
let patienceS: UInt64 = 30

struct Note: Codable, Equatable, Sendable {
  var title: String
  var likes: Int
}

/// A process that says where it listens.
class Service {
  let url: String
  private let process = Process()

  init(variable: String, arguments: [String]) throws {
    let binary = try XCTUnwrap(ProcessInfo.processInfo.environment[variable], "\(variable) names no program")
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: binary)
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    var line = ""
    while !line.hasSuffix("\n") {
      let byte = try XCTUnwrap(output.fileHandleForReading.read(upToCount: 1), "the server ended")
      line += String(decoding: byte, as: UTF8.self)
    }
    url = String(try XCTUnwrap(line.split(whereSeparator: \.isWhitespace).last))
  }

  /// Where it listens, as the program takes it.
  var address: String { String(url.dropFirst("http://".count)) }

  /// Ends the process as a crash would: one that was started on a thread of Swift's pool has inherited that it is deaf to
  /// SIGTERM.
  func stop() {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}

/// A server process in development mode, by default on a port of its own.
final class Server: Service {
  init(data: String, listen: String? = nil) throws {
    // The same from start to start, so that tokens stay good.
    let secret = "\(data).secret"
    if !FileManager.default.fileExists(atPath: secret) {
      try (UUID().uuidString + UUID().uuidString).write(toFile: secret, atomically: true, encoding: .utf8)
    }
    try super.init(
      variable: "SYNCLINE_SERVER_BIN",
      arguments: ["--listen", listen ?? "127.0.0.1:0", "--data", data, "--dev", "--jwt-secret-file", secret])
  }

  func token(_ user: String, rooms: [String] = [], ttlS: Int? = nil) async throws -> String {
    var request = URLRequest(url: try XCTUnwrap(URL(string: "\(url)/dev/token")))
    request.httpMethod = "POST"
    request.setValue("application/json", forHTTPHeaderField: "Content-Type")
    var claims: [String: Any] = ["sub": user, "rooms": rooms]
    claims["ttl_s"] = ttlS
    request.httpBody = try JSONSerialization.data(withJSONObject: claims)
    let (body, _) = try await URLSession.shared.data(for: request)
    return try XCTUnwrap(JSONDecoder().decode([String: String].self, from: body)["token"])
  }
}

/// A server and a folder for each test, gone with it.
class ServerTestCase: XCTestCase {
  private(set) var folder: URL!
  private(set) var server: Server!

  override func setUpWithError() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    server = try Server(data: folder.appendingPathComponent("server").path)
  }

  override func tearDownWithError() throws {
    server.stop()
    try FileManager.default.removeItem(at: folder)
  }

  func open(
    _ name: String, connect: Bool = true, token: String? = nil, url: String? = nil, conflict: ConflictStrategy? = nil
  ) async throws -> SyncClient {
    let ada = try await server.token("ada", rooms: ["list:9"])
    return try await SyncClient.open(
      ClientOptions(
        url: url ?? server.url, directory: folder.appendingPathComponent(name).path, token: token ?? ada,
        autoConnect: connect, conflict: conflict))
  }

  func failure(_ call: () async throws -> Void) async throws -> SyncError {
    do {
      try await call()
    } catch let error as SyncError {
      return error
    }
    throw NothingFailed()
  }
}

/// The Socket.IO backend without sync, and a client of it without a token.
class BackendTestCase: ServerTestCase {
  private var backend: Service!

  override func setUpWithError() throws {
    try super.setUpWithError()
    backend = try Service(variable: "SYNCLINE_BACKEND_BIN", arguments: [])
  }

  override func tearDownWithError() throws {
    backend.stop()
    try super.tearDownWithError()
  }

  func plain() async throws -> SyncClient {
    try await SyncClient.open(
      ClientOptions(
        url: backend.url, directory: folder.appendingPathComponent("plain").path, token: nil, autoConnect: false,
        settingsJson: #"{"tokenRequired": false, "jobRetryDelayMs": 10}"#))
  }
}

struct NothingFailed: Error {}

struct OutOfPatience: Error {}

/// The first element that fits, within a bound.
func first<Elements: AsyncSequence & Sendable>(
  of elements: Elements, where fits: @escaping @Sendable (Elements.Element) -> Bool
) async throws -> Elements.Element where Elements.Element: Sendable {
  try await withThrowingTaskGroup(of: Elements.Element.self) { group in
    group.addTask {
      for try await element in elements where fits(element) { return element }
      throw OutOfPatience()
    }
    group.addTask {
      try await Task.sleep(nanoseconds: patienceS * 1_000_000_000)
      throw OutOfPatience()
    }
    defer { group.cancelAll() }
    guard let found = try await group.next() else { throw OutOfPatience() }
    return found
  }
}
