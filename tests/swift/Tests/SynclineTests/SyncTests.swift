import Foundation
import XCTest

@testable import Syncline

final class SyncTests: ServerTestCase {
  func testAnOfflineEditReachesTheOtherDevice() async throws {
    let a = try await open("a", connect: false)
    let b = try await open("b")
    let note = try await a.newId()
    try await a.create(room: room, collection: "notes", id: note, Note(title: "written offline", likes: 1))
    try await a.update(room: room, collection: "notes", id: note) { $0.increment("likes", by: 2) }
    let row = try await a.document(room: room, collection: "notes", id: note)
    XCTAssertEqual(row?.pending, true)
    XCTAssertEqual(try row?.decode(Note.self), Note(title: "written offline", likes: 3))

    try await a.connect()
    let query = Query(room: room, collection: "notes", id: note)
    let arrived = try await first(of: b.watch(query)) { !$0.documents.isEmpty }
    XCTAssertEqual(try arrived.documents[0].decode(Note.self), Note(title: "written offline", likes: 3))
    _ = try await first(of: a.queue) { $0.count == 0 }
    try await a.close()
    try await b.close()
  }

  func testWhatWasWrittenBeforeARestartIsStillThereAndIsSent() async throws {
    let before = try await open("a", connect: false)
    try await before.create(room: room, collection: "notes", id: "n", Note(title: "kept", likes: 0))
    try await before.close()
    let after = try await open("a", connect: false)
    let kept = try await after.document(room: room, collection: "notes", id: "n")
    XCTAssertEqual(try kept?.decode(Note.self), Note(title: "kept", likes: 0))
    XCTAssertEqual(kept?.pending, true)
    try await after.connect()
    try await after.flush()
    _ = try await first(of: after.queue) { $0.count == 0 }
    try await after.close()
  }

  func testALiveQueryShowsWhatItSelectsInItsOrder() async throws {
    let a = try await open("a", connect: false)
    for likes in 1...4 {
      try await a.create(room: room, collection: "notes", id: "n\(likes)", Note(title: "n", likes: likes))
    }
    let query = Query(
      room: room, collection: "notes", filterJson: #"{"lt": ["likes", 4]}"#, orderBy: [OrderBy("likes", .descending)],
      limit: 2)
    var shown = a.watch(query).makeAsyncIterator()
    let before = try await shown.next()
    XCTAssertEqual(before?.documents.map(\.id), ["n3", "n2"])
    XCTAssertEqual(before?.count, 3)
    try await a.update(room: room, collection: "notes", id: "n1") { try $0.set("likes", 3.5) }
    var ids: [String]?
    repeat { ids = try await shown.next()?.documents.map(\.id) } while ids == ["n3", "n2"]
    XCTAssertEqual(ids, ["n1", "n3"])
    try await a.close()
    // What was shown last may come once more; then it ends.
    while let last = try await shown.next() { XCTAssertEqual(last.documents.map(\.id), ["n1", "n3"]) }
  }

  func testAConflictWaitsForTheApp() async throws {
    let a = try await open("a", conflict: .manual)
    let b = try await open("b")
    let query = Query(room: room, collection: "drafts", id: "d")
    try await a.create(room: room, collection: "drafts", id: "d", Note(title: "first", likes: 0))
    _ = try await first(of: b.watch(query)) { !$0.documents.isEmpty }
    _ = try await first(of: a.watch(query)) { $0.documents.first?.pending == false }
    try await a.disconnect()
    try await b.update(room: room, collection: "drafts", id: "d") { try $0.set("title", "of b") }
    try await b.flush()
    try await a.update(room: room, collection: "drafts", id: "d") { try $0.set("title", "of a") }
    try await a.connect()
    _ = try await a.syncOnce(deadlineMs: patienceS * 1000)
    let parked = try await a.conflicts()
    XCTAssertEqual(parked.map(\.conflict.fields), [["title"]])
    try await a.resolveConflict(parked[0].clientSeq, .local)
    try await a.flush()
    let settled = try await first(of: b.watch(query)) { (try? $0.documents.first?.decode(Note.self))?.title == "of a" }
    XCTAssertEqual(settled.documents.count, 1)
    try await a.close()
    try await b.close()
  }

  func testMembersSeeEachOther() async throws {
    let a = try await open("a")
    let b = try await open("b")
    let present = Task { for try await _ in b.presence(room: "list:9", state: ["typing": true]) {} }
    let seen = try await first(of: a.presence(room: "list:9", state: [String: Bool]())) { $0.count == 2 }
    XCTAssertEqual(seen.first { !$0.me }?.stateJson, #"{"typing":true}"#)
    present.cancel()
    try await a.close()
    try await b.close()
  }

  func testPresenceMayBeginAgainAsSoonAsItEnds() async throws {
    let a = try await open("a")
    let b = try await open("b")
    for turn in 1...5 {
      _ = try await first(of: b.presence(room: "list:9", state: ["turn": turn])) { _ in true }
    }
    let present = Task { for try await _ in b.presence(room: "list:9", state: ["turn": 6]) {} }
    _ = try await first(of: a.presence(room: "list:9", state: [String: Int]())) { members in
      members.contains { !$0.me && $0.stateJson == #"{"turn":6}"# }
    }
    try await b.updatePresence(room: "list:9", ["stays": true])
    _ = try await first(of: a.presence(room: "list:9", state: [String: Int]())) { members in
      members.contains { !$0.me && $0.stateJson.contains("stays") }
    }
    present.cancel()
    _ = try await first(of: a.presence(room: "list:9", state: [String: Int]())) { $0.map(\.me) == [true] }
    try await a.close()
    try await b.close()
  }

  func testTwoLoopsOverOneRoomAreOnePresence() async throws {
    let a = try await open("a")
    var stays = a.presence(room: "list:9", state: ["loop": 1]).makeAsyncIterator()
    _ = try await first(of: a.presence(room: "list:9", state: ["loop": 2])) { $0.contains(where: \.me) }
    var seen = try await stays.next()
    while seen?.contains(where: \.me) == false { seen = try await stays.next() }
    XCTAssertNotNil(seen)
    try await a.close()
    while try await stays.next() != nil {}
  }

  func testOneRoundInTheBackground() async throws {
    let a = try await open("a", connect: false)
    try await a.setAppState(.background)
    try await a.create(room: room, collection: "notes", id: "n", Note(title: "from a task", likes: 0))
    let report = try await a.syncOnce(deadlineMs: patienceS * 1000)
    XCTAssertTrue(report.complete, report.reason?.message ?? "")
    XCTAssertEqual(report.pending, 0)
    try await a.close()
  }
}
