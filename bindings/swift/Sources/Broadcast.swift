import Foundation

/// Those who follow something by a stream.
///
/// A stream that is cancelled calls `onTermination` under a lock of the task's, which whoever resumes the task needs as well. So
/// nothing is yielded under the lock that `onTermination` takes.
final class Followers<Element: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var continuations: [UInt64: AsyncStream<Element>.Continuation] = [:]
  private var last: UInt64 = 0
  private var finished = false

  func add(_ continuation: AsyncStream<Element>.Continuation) {
    let number: UInt64? = lock.locked {
      guard !finished else { return nil }
      last += 1
      continuations[last] = continuation
      return last
    }
    guard let number else { return continuation.finish() }
    continuation.onTermination = { [weak self] _ in
      guard let self else { return }
      self.lock.locked { self.continuations[number] = nil }
    }
  }

  /// In order, as far as the calls are.
  func yield(_ element: Element) {
    let all = lock.locked { Array(continuations.values) }
    all.forEach { $0.yield(element) }
  }

  /// Ends every stream, also those that begin later.
  func finish() {
    let all = lock.locked { () -> [AsyncStream<Element>.Continuation] in
      finished = true
      defer { continuations = [:] }
      return Array(continuations.values)
    }
    all.forEach { $0.finish() }
  }
}

/// A value that changes, and everybody who follows it. A slow follower sees the newest only.
final class Broadcast<Value: Sendable>: @unchecked Sendable {
  /// Keeps what is yielded in the order of the changes.
  private let order = NSLock()
  private var current: Value?
  private let followers = Followers<Value>()

  init(_ value: Value? = nil) {
    current = value
  }

  var value: Value? { order.locked { current } }

  func send(_ value: Value) {
    order.locked { set(value) }
  }

  func update(_ change: (Value) -> Value) {
    order.locked {
      if let current { set(change(current)) }
    }
  }

  func sendFirst(_ value: Value) {
    order.locked {
      if current == nil { set(value) }
    }
  }

  private func set(_ value: Value) {
    current = value
    followers.yield(value)
  }

  /// The value now, if there is one, and each that follows.
  func stream() -> AsyncStream<Value> {
    AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
      order.locked {
        if let current { continuation.yield(current) }
        followers.add(continuation)
      }
    }
  }

  func finish() {
    followers.finish()
  }
}

extension NSLock {
  func locked<Value>(_ body: () throws -> Value) rethrows -> Value {
    lock()
    defer { unlock() }
    return try body()
  }
}
