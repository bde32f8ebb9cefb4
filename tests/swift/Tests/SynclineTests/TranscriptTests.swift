import Foundation
import XCTest

/// The transcripts of the contract, through the generated binding's façade.
final class TranscriptTests: XCTestCase {
  private var folder: URL!

  override func setUpWithError() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  }

  override func tearDownWithError() throws {
    try FileManager.default.removeItem(at: folder)
  }

  func testEveryTranscriptIsWhatTheFacadeDoes() async throws {
    for (name, transcript) in try Transcript.all("transcripts") {
      do {
        try await transcript.play(in: folder.appendingPathComponent(name))
      } catch {
        XCTFail("\(name) (\(transcript.title)): \(error)")
      }
    }
  }

  func testAWrongTranscriptFailsWhereItIsWrong() async throws {
    for (name, transcript) in try Transcript.all("transcripts/wrong") {
      do {
        try await transcript.play(in: folder.appendingPathComponent(name))
        XCTFail("\(name) passed")
      } catch let failure as TranscriptFailure {
        XCTAssertEqual(failure.step, transcript.failsAt, "\(name): \(failure)")
      }
    }
  }
}
