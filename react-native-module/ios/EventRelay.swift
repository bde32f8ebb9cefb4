import Foundation

#if canImport(Syncline)
  import Syncline
#endif

// Not the names of others: React Native passes an event to every module that declares one of its name.
let eventsName = "onSynclineEvents"
let logName = "onSynclineLog"

extension Parcel {
  /// As JavaScript gets it, where `Data` is a `Uint8Array`.
  var body: [String: Any] { ["text": text, "attachments": attachments] }
}

/// Hands what the core tells, its log too, to the module, from whatever thread, until stopped.
final class EventRelay: JsonListener, JsonLogListener, @unchecked Sendable {
  private let lock = NSLock()
  private var send: ((String, [String: Any]) -> Void)?

  func start(_ send: @escaping (String, [String: Any]) -> Void) {
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

  func onEvents(client: UInt64, events: Parcel) {
    pass(eventsName, events.body.merging(["client": Int(clamping: client)]) { $1 })
  }

  func onLines(lines: String) {
    pass(logName, ["lines": lines])
  }

  private func pass(_ event: String, _ body: [String: Any]) {
    // Sent under the lock, which is what makes `stop` final. Sending only schedules: it cannot come back here.
    lock.lock()
    defer { lock.unlock() }
    send?(event, body)
  }
}
