import Foundation
import XCTest

@testable import Syncline

/// What of the Expo module for iOS needs no iOS; the suite puts it beside the tests.
final class ModuleTests: XCTestCase {
  private let nothing = Parcel(text: "[]", attachments: [])

  func testAnEventCrossesWithItsClientsNumberItsTextAndItsBytes() throws {
    let sent = Sent()
    let relay = EventRelay()
    relay.start { event, body in sent.add(event, body) }
    relay.onEvents(client: 7, events: Parcel(text: "[1]", attachments: [Data([0, 255])]))
    relay.onLines(lines: "[2]")
    let (event, body) = try XCTUnwrap(sent.all.first)
    XCTAssertEqual(event, "onSynclineEvents")
    XCTAssertEqual(body["client"] as? Int, 7)
    XCTAssertEqual(body["text"] as? String, "[1]")
    XCTAssertEqual(body["attachments"] as? [Data], [Data([0, 255])])
    XCTAssertEqual(sent.all.last?.body["lines"] as? String, "[2]")
  }

  func testNoEventIsSentAfterTheModuleHasStoppedFromWhateverThread() {
    let sent = Sent()
    let relay = EventRelay()
    relay.start { event, body in sent.add(event, body) }
    let (stopped, ended) = (DispatchSemaphore(value: 0), DispatchGroup())
    let nothing = self.nothing
    for _ in 0..<4 {
      ended.enter()
      Thread.detachNewThread {
        for _ in 0..<1000 { relay.onEvents(client: 1, events: nothing) }
        stopped.wait()
        for _ in 0..<1000 { relay.onEvents(client: 1, events: nothing) }
        ended.leave()
      }
    }
    relay.stop()
    let before = sent.all.count
    for _ in 0..<4 { stopped.signal() }
    ended.wait()
    XCTAssertEqual(sent.all.count, before)
  }

  func testANewModuleClosesWhatTheOldOneHadOpenAndKeepsWhatIsItsOwnUntilItGoesItself() async throws {
    let (old, new) = (EventRelay(), EventRelay())
    CoreOwner.shared.take(old)
    let left = try await openClient(old)
    CoreOwner.shared.take(new)
    let client = try await openClient(new)
    let ended = await queue(left)
    XCTAssertTrue(ended.contains(#""closed""#), ended)
    CoreOwner.shared.leave(old)
    await CoreOwner.shared.whenClosed()
    let open = await queue(client)
    XCTAssertTrue(open.hasPrefix(#"{"ok":"#), open)

    new.stop()
    CoreOwner.shared.leave(new)
    await CoreOwner.shared.whenClosed()
    let closed = await queue(client)
    XCTAssertTrue(closed.contains(#""closed""#), closed)
  }

  private func openClient(_ relay: EventRelay) async throws -> UInt64 {
    await CoreOwner.shared.whenClosed()
    let reply = await jsonOpen(
      config: #"{"url":"http://127.0.0.1:9","store":"memory","autoConnect":false}"#, listener: relay)
    guard case .number(let number)? = try Json.parse(reply)["ok"]?["client"] else { throw NothingOpened(reply: reply) }
    return UInt64(number)
  }

  private func queue(_ client: UInt64) async -> String {
    await jsonCall(client: client, command: Parcel(text: #"{"type":"queue"}"#, attachments: [])).text
  }
}

private struct NothingOpened: Error {
  let reply: String
}

private final class Sent: @unchecked Sendable {
  private let lock = NSLock()
  private var events: [(event: String, body: [String: Any])] = []

  var all: [(event: String, body: [String: Any])] { lock.locked { events } }

  func add(_ event: String, _ body: [String: Any]) {
    lock.locked { events.append((event, body)) }
  }
}
