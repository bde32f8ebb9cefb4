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

/// A server process in development mode, on a port of its own.
final class Server {
  let url: String
  private let process = Process()

  init(data: String) throws {
    let binary = try XCTUnwrap(ProcessInfo.processInfo.environment["SYNCLINE_SERVER_BIN"])
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: binary)
    process.arguments = ["--listen", "127.0.0.1:0", "--data", data, "--dev"]
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

  func token(_ user: String, rooms: [String] = []) async throws -> String {
    var request = URLRequest(url: try XCTUnwrap(URL(string: "\(url)/dev/token")))
    request.httpMethod = "POST"
    request.setValue("application/json", forHTTPHeaderField: "Content-Type")
    request.httpBody = try JSONSerialization.data(withJSONObject: ["sub": user, "rooms": rooms])
    let (body, _) = try await URLSession.shared.data(for: request)
    return try XCTUnwrap(JSONDecoder().decode([String: String].self, from: body)["token"])
  }

  func stop() {
    guard process.isRunning else { return }
    process.terminate()
    process.waitUntilExit()
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
