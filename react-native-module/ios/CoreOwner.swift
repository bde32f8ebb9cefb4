import Foundation

#if canImport(Syncline)
  import Syncline
#endif

/// The core belongs to the newest module: on a reload the old one may be destroyed after the new one was made, and
/// must not close what the new one uses.
final class CoreOwner: @unchecked Sendable {
  static let shared = CoreOwner()

  private let lock = NSLock()
  private var owner: ObjectIdentifier?
  private var closing: Task<Void, Never>?

  /// Closes what another owner has open, whose events nobody would get any more.
  func take(_ relay: EventRelay) {
    lock.lock()
    defer { lock.unlock() }
    if owner != nil && owner != ObjectIdentifier(relay) { close() }
    owner = ObjectIdentifier(relay)
  }

  /// Closes every client and ends the log, unless the core has a new owner.
  func leave(_ relay: EventRelay) {
    lock.lock()
    defer { lock.unlock() }
    guard owner == ObjectIdentifier(relay) else { return }
    owner = nil
    _ = jsonSetLogSink(level: "off", listener: nil)
    close()
  }

  /// Called under the lock.
  private func close() {
    closing = Task.detached { [before = closing] in
      await before?.value
      await jsonCloseAll()
    }
  }

  /// Returns when what an earlier owner left behind is closed.
  func whenClosed() async {
    await currentClosing()?.value
  }

  private func currentClosing() -> Task<Void, Never>? {
    lock.lock()
    defer { lock.unlock() }
    return closing
  }
}
