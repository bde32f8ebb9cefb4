import Foundation
import XCTest

@testable import Syncline

final class JobTests: BackendTestCase {
  func testAQueuedEventIsSentOnceConnected() async throws {
    let a = try await plain()
    let told = a.events()
    let task = JobTask.event(name: "order", args: try Parcel([["item": 7]]))
    let job = try await a.jobs.enqueue(JobRequest(task: task, keepOutcome: true)).job
    _ = try await first(of: a.queue) { $0.events == 1 }
    try await a.connect()
    let done = try await first(of: told) { if case .jobDone = $0 { true } else { false } }
    guard case .jobDone(let result) = done else { return XCTFail("\(done)") }
    XCTAssertEqual(result.job, job)
    XCTAssertEqual(result.result.text, #"[{"accepted":7}]"#)
    let kept = try await a.jobs.results()
    XCTAssertEqual(kept.map(\.job), [job])
    try await a.jobs.acknowledge(job)
    let left = try await a.jobs.results()
    XCTAssertTrue(left.isEmpty)
    try await a.close()
  }

  func testARefusedRequestIsADeadLetterAndCanBeRetriedAsAnother() async throws {
    let a = try await plain()
    let told = a.events()
    let refused = JobTask.request(method: "POST", url: "/api/nonsense", headers: [:], body: nil)
    let job = try await a.jobs.enqueue(JobRequest(task: refused)).job
    let dead = try await first(of: told) { if case .jobDead = $0 { true } else { false } }
    guard case .jobDead(let letter) = dead else { return XCTFail("\(dead)") }
    XCTAssertEqual(letter.reason, .refused)
    XCTAssertEqual(letter.error.category, .validation)
    XCTAssertEqual(letter.error.status, 422)
    let again = a.events()
    try await a.jobs.retry(
      job, as: .request(method: "POST", url: "/api/orders", headers: [:], body: try Parcel(["item": 1])))
    _ = try await first(of: again) { if case .jobDone = $0 { true } else { false } }
    let letters = try await a.jobs.deadLetters()
    XCTAssertTrue(letters.isEmpty)
    try await a.close()
  }

  func testOnlyTheNewestLeaseOfAHandlerEndsItsJob() async throws {
    let a = try await plain()
    var told = a.events().makeAsyncIterator()
    try await a.jobs.registerHandlers(["resize"])
    let request = JobRequest(task: .handler(key: "resize", payload: try Parcel(1)), dedupeKey: "photo-1")
    try await a.jobs.enqueue(request)
    let same = try await a.jobs.enqueue(request)
    XCTAssertTrue(same.duplicate)
    let before = try await nextLease(&told)
    try await a.jobs.extendLease(before.job, lease: before.lease)
    try await a.jobs.fail(before.job, lease: before.lease, .network, "no route")
    let after = try await nextLease(&told)
    XCTAssertEqual(before.job, after.job)
    XCTAssertNotEqual(before.lease, after.lease)
    let late = try await failure { try await a.jobs.complete(before.job, lease: before.lease, 1) }
    XCTAssertEqual(late.code, "conflict")
    XCTAssertEqual(late.retry, .never)
    try await a.jobs.complete(after.job, lease: after.lease, ["width": 3])
    let left = try await a.jobs.list()
    XCTAssertTrue(left.isEmpty)
    try await a.close()
  }

  func testAHandlerIsGivenBytesAndItsResultHasSome() async throws {
    let a = try await plain()
    let (asked, told) = (a.events(), a.events())
    let photo = Photo(name: "a.jpg", bytes: Data([0, 255]))
    try await a.jobs.enqueue(JobRequest(task: .handler(key: "resize", payload: try Parcel(photo))))
    guard case .handler(_, let waiting)? = try await a.jobs.list().first?.task else { return XCTFail("no job") }
    XCTAssertEqual(try waiting.decode(Photo.self), photo)
    try await a.jobs.registerHandlers(["resize"])
    let leased = try await first(of: asked) { if case .jobLeased = $0 { true } else { false } }
    guard case .jobLeased(let job, let lease, _, _, let payload, _, _) = leased else { return XCTFail("\(leased)") }
    XCTAssertEqual(try payload.decode(Photo.self), photo)
    try await a.jobs.complete(job, lease: lease, Data([255]))
    let done = try await first(of: told) { if case .jobDone = $0 { true } else { false } }
    guard case .jobDone(let result) = done else { return XCTFail("\(done)") }
    XCTAssertEqual(try result.result.decode([Data].self), [Data([255])])
    try await a.close()
  }

  func testAQueuedEventCarriesBytesAndSoDoesItsAnswer() async throws {
    let a = try await plain()
    let told = a.events()
    let args = try Parcel([Photo(name: "a.jpg", bytes: Data([0, 255]))])
    try await a.jobs.enqueue(JobRequest(task: .event(name: "develop", args: args)))
    try await a.connect()
    let done = try await first(of: told) { if case .jobDone = $0 { true } else { false } }
    guard case .jobDone(let result) = done else { return XCTFail("\(done)") }
    XCTAssertEqual(try result.result.decode([Photo].self), [Photo(name: "a.jpg", bytes: Data([255, 0]))])
    try await a.close()
  }

  func testJobsWaitUntilTheyAreAskedForWhereThatIsWanted() async throws {
    let a = try await plain()
    try await a.jobs.setAutoProcessing(false)
    let refused = JobTask.request(method: "POST", url: "/api/nonsense", headers: [:], body: nil)
    let job = try await a.jobs.enqueue(JobRequest(task: refused)).job
    try await a.jobs.edit(job, to: .request(method: "POST", url: "/api/orders", headers: [:], body: try Parcel(2)))
    let report = try await a.jobs.process()
    XCTAssertEqual(report.processed, 1)
    try await a.jobs.enqueue(JobRequest(task: .handler(key: "resize", payload: try Parcel(2))))
    let cleared = try await a.jobs.clear([.handler])
    XCTAssertEqual(cleared, 1)
    let gone = try await failure { try await a.jobs.drop(job) }
    XCTAssertEqual(gone.code, "not_found")
    try await a.close()
  }

  private func nextLease(_ told: inout AsyncStream<ClientEvent>.Iterator) async throws -> (job: UInt64, lease: UInt64) {
    while let event = await told.next() {
      if case .jobLeased(let job, let lease, _, _, _, _, _) = event { return (job, lease) }
    }
    throw OutOfPatience()
  }
}
