import Foundation
import XCTest

@testable import Syncline

final class BroadcastTests: XCTestCase {
  func testFollowersMayBeCancelledWhileTheyAreTold() async {
    let (values, last) = (Broadcast(0), 200_000)
    let telling = Task.detached { for number in 1...last { values.send(number) } }
    for _ in 0..<2_000 {
      let following = Task { for await _ in values.stream() {} }
      await Task.yield()
      following.cancel()
      await following.value
    }
    await telling.value
    XCTAssertEqual(values.value, last)
  }
}
