import Foundation
import XCTest

@testable import Syncline

final class ErrorTests: ServerTestCase {
  func testARefusedTokenIsCuredByAnotherOne() async throws {
    let a = try await open("a", connect: false, token: "not a token")
    let refused = try await failure { try await a.connect() }
    XCTAssertEqual(refused.code, "unauthorized")
    XCTAssertEqual(refused.retry, .afterAuth)
    try await a.setToken(try await server.token("ada"))
    try await a.connect()
    try await a.close()
  }

  func testAMalformedCallIsNeverWorthARetry() async throws {
    let a = try await open("a", connect: false)
    let refused = try await failure {
      try await a.create(room: "", collection: "notes", id: "n", Note(title: "x", likes: 0))
    }
    XCTAssertEqual(refused.code, "invalid")
    XCTAssertFalse(refused.isRetryable)
    try await a.close()
    let closed = try await failure { _ = try await a.newId() }
    XCTAssertEqual(closed.code, "closed")
  }

  func testACancelledTaskStopsWaitingInRust() async throws {
    let silent = try SilentServer()
    defer { silent.stop() }
    let a = try await open("a", connect: false, token: "any", url: silent.url)
    let connect = Task { try await a.connect() }
    _ = try await first(of: a.connection) { $0.state == .connecting }
    connect.cancel()
    let outcome = await connect.result
    XCTAssertThrowsError(try outcome.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
    try await a.create(room: room, collection: "notes", id: "n", Note(title: "still usable", likes: 0))
    try await a.close()
  }

  func testManyClientsLeaveNoThreadBehind() async throws {
    func cycle() async throws {
      let client = try await SyncClient.open(
        ClientOptions(url: "http://127.0.0.1:9", directory: nil, token: nil, autoConnect: false))
      try await client.create(room: room, collection: "notes", id: "n", Note(title: "x", likes: 0))
      _ = try await first(of: client.watch(Query(room: room, collection: "notes"))) { $0.documents.count == 1 }
      try await client.close()
    }
    for _ in 0..<100 { try await cycle() }
    let before = try resources()
    for _ in 0..<1000 { try await cycle() }
    let after = try resources()
    print("1000 cycles: threads \(before.threads) -> \(after.threads), kB \(before.residentKb) -> \(after.residentKb)")
    XCTAssertLessThanOrEqual(after.threads, before.threads + 8)
    XCTAssertLessThan(after.residentKb - before.residentKb, 16 * 1024)
  }

  private func resources() throws -> (threads: Int, residentKb: Int) {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    func number(_ name: String) throws -> Int {
      let line = try XCTUnwrap(status.split(separator: "\n").first { $0.hasPrefix("\(name):") })
      return try XCTUnwrap(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
    }
    return (try number("Threads"), try number("VmRSS"))
  }
}

/// Takes connections and never says anything.
private final class SilentServer {
  let url: String
  private let descriptor: Int32

  init() throws {
    #if canImport(Glibc)
      let stream = Int32(SOCK_STREAM.rawValue)
    #else
      let stream = SOCK_STREAM
    #endif
    let descriptor = socket(AF_INET, stream, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listening = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 50) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    XCTAssertTrue(listening)
    self.descriptor = descriptor
    url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
  }

  func stop() {
    close(descriptor)
  }
}
