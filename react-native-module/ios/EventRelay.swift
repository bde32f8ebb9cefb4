import Foundation

#if canImport(Syncline)
  import Syncline
#endif

/// Hands the core's events to the module, from whatever thread, until stopped.
final class EventRelay: JsonListener, @unchecked Sendable {
  private let lock = NSLock()
  private var send: ((Int, String) -> Void)?

  func start(_ send: @escaping (Int, String) -> Void) {
    lock.lock()
    defer { lock.unlock() }
    self.send = send
  }

  /// No event passes after this has returned.
  func stop() {
    lock.lock()
    defer { lock.unlock() }
    send = nil
  }

  func onEvents(client: UInt64, events: String) {
    // Sent under the lock, which is what makes `stop` final. Sending only schedules: it cannot come back here.
    lock.lock()
    defer { lock.unlock() }
    send?(Int(clamping: client), events)
  }
}
