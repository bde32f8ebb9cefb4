import Foundation

/// A value that changes, and everybody who follows it. A slow follower sees the newest only.
final class Broadcast<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var current: Value?
  private var followers: [UInt64: AsyncStream<Value>.Continuation] = [:]
  private var lastFollower: UInt64 = 0
  private var finished = false

  init(_ value: Value? = nil) {
    current = value
  }

  var value: Value? { lock.locked { current } }

  // Yielded under the lock, which keeps the order; it runs no code of a follower.
  func send(_ value: Value) {
    lock.locked {
      current = value
      followers.values.forEach { $0.yield(value) }
    }
  }

  func update(_ change: (Value) -> Value) {
    lock.locked {
      guard let before = current else { return }
      let after = change(before)
      current = after
      followers.values.forEach { $0.yield(after) }
    }
  }

  func sendFirst(_ value: Value) {
    lock.locked {
      guard current == nil else { return }
      current = value
      followers.values.forEach { $0.yield(value) }
    }
  }

  /// The value now, if there is one, and each that follows.
  func stream() -> AsyncStream<Value> {
    AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
      let follower: UInt64? = lock.locked {
        if let current { continuation.yield(current) }
        guard !finished else { return nil }
        lastFollower += 1
        followers[lastFollower] = continuation
        return lastFollower
      }
      guard let follower else { return continuation.finish() }
      continuation.onTermination = { [weak self] _ in
        guard let self else { return }
        self.lock.locked { self.followers[follower] = nil }
      }
    }
  }

  func finish() {
    // Finished outside the lock: it calls `onTermination`.
    let left = lock.locked { () -> [AsyncStream<Value>.Continuation] in
      finished = true
      defer { followers = [:] }
      return Array(followers.values)
    }
    left.forEach { $0.finish() }
  }
}

extension NSLock {
  func locked<Value>(_ body: () throws -> Value) rethrows -> Value {
    lock()
    defer { unlock() }
    return try body()
  }
}
