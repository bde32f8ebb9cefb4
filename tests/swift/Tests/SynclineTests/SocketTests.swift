import Foundation
import XCTest

@testable import Syncline

final class SocketTests: BackendTestCase {
  func testAnEventIsAnsweredAndOneForNobodyTimesOut() async throws {
    let a = try await plain()
    try await a.connect()
    let answer = try await a.socket.emitWithAck("echo", 1, "two", ["three": nil])
    XCTAssertEqual(answer, [1, "two", ["three": nil]])
    let late = try await failure { _ = try await a.socket.emitWithAck("nobodyAnswers", timeoutMs: 50) }
    XCTAssertEqual(late.code, "timeout")
    XCTAssertEqual(late.retry, .later)
    try await a.close()
  }

  func testEventsWaitForAConnectionUnlessTheyAreVolatile() async throws {
    let a = try await plain()
    let told = a.events()
    let early = try await a.socket.emit("announce", "early")
    let lost = try await a.socket.emit("announce", "lost", volatile: true)
    XCTAssertEqual([early, lost], [.waiting, .dropped])
    try await a.socket.on("news:*")
    try await a.connect()
    let message = try await nextMessage(told)
    XCTAssertEqual(message.event, "news:early")
    XCTAssertEqual(message.args.text, #"[{"subject":"early"}]"#)
    try await a.close()
  }

  func testAQuestionOfTheServerIsAnsweredOnce() async throws {
    let a = try await plain()
    let asked = a.events()
    try await a.socket.on("question")
    try await a.socket.on("answered")
    try await a.connect()
    try await a.socket.emit("ask", "well?")
    let token = try await nextMessage(asked).ack
    let answered = a.events()
    try await a.socket.ack(try XCTUnwrap(token), "yes")
    let message = try await nextMessage(answered)
    XCTAssertEqual(message.args.text, #"["yes"]"#)
    let again = try await failure { try await a.socket.ack(try XCTUnwrap(token)) }
    XCTAssertEqual(again.code, "not_found")
    try await a.close()
  }

  func testBytesGoOutInAnEventAndComeBackInItsAnswerAndInWhatIsListenedTo() async throws {
    let a = try await plain()
    let told = a.events()
    try await a.socket.on("developed")
    try await a.connect()
    let photo = try Argument(encoding: Photo(name: "a.jpg", bytes: Data([0, 255, 7])))
    let answer = try await a.socket.emitWithAck("develop", photo)
    XCTAssertEqual(try answer.first?.decode(Photo.self), Photo(name: "a.jpg", bytes: Data([7, 255, 0])))
    let message = try await nextMessage(told)
    XCTAssertEqual(try message.args.decode([Argument].self), [.bytes(Data([7, 255, 0]))])
    XCTAssertEqual(message.args.attachments, [Data([7, 255, 0])])
    try await a.close()
  }

  func testAQuestionWithBytesIsAnsweredWithBytes() async throws {
    let a = try await plain()
    let asked = a.events()
    try await a.socket.on("look")
    try await a.socket.on("looked")
    try await a.connect()
    try await a.socket.emit("show", ["name": "a.jpg", "bytes": .bytes(Data([255]))])
    let shown = try await nextMessage(asked)
    XCTAssertEqual(try shown.args.decode([Photo].self), [Photo(name: "a.jpg", bytes: Data([255]))])
    let looked = a.events()
    try await a.socket.ack(try XCTUnwrap(shown.ack), ["name": "b.jpg", "bytes": .bytes(Data([0, 1]))])
    let message = try await nextMessage(looked)
    XCTAssertEqual(try message.args.decode([Photo].self), [Photo(name: "b.jpg", bytes: Data([0, 1]))])
    try await a.close()
  }

  func testWhatOnlyLooksLikeBytesIsNone() async throws {
    let a = try await plain()
    try await a.connect()
    let args: [Argument] = [
      ["$attachment": 0], ["$bytes": "not base64"], ["$object": ["$attachment": 1]],
    ]
    let answer = try await a.socket.emitWithAck("echo", args[0], args[1], args[2])
    XCTAssertEqual(answer, args)
    try await a.close()
  }

  func testRoomsAndNamespacesAreEnteredWhereTheServerAllows() async throws {
    let a = try await plain()
    try await a.connect()
    let joined = try await a.socket.joinRoom("lobby:1")
    XCTAssertTrue(joined)
    let refused = try await failure { try await a.socket.joinRoom("closed:1") }
    XCTAssertEqual(refused.code, "forbidden")
    try await a.socket.leaveRoom("lobby:1")
    let chat = try await a.socket.connectNamespace("/chat")
    XCTAssertTrue(chat.isOpen)
    let closed = try await failure { try await a.socket.connectNamespace("/closed") }
    XCTAssertEqual(closed.code, "forbidden")
    try await a.socket.disconnectNamespace("/chat")
    try await a.close()
  }

  func testACancelledTaskDoesNotWaitForAnAnswer() async throws {
    let a = try await plain()
    try await a.connect()
    let answer = Task { try await a.socket.emitWithAck("nobodyAnswers") }
    answer.cancel()
    let result = await answer.result
    XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError, "\($0)") }
    try await a.close()
  }

  private func nextMessage(_ events: AsyncStream<ClientEvent>) async throws -> SocketMessage {
    let event = try await first(of: events) { if case .message = $0 { true } else { false } }
    guard case .message(let message) = event else { throw NothingFailed() }
    return message
  }
}
