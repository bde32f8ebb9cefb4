import Foundation
import UIKit

#if canImport(Syncline)
  import Syncline
#endif

/// Time after the app has left the screen, for `backgroundGraceMs` and for what the Keychain is to keep. Without it, iOS freezes
/// the app within moments, with its socket open.
@MainActor
enum BackgroundGrace {
  private static var current: (task: UIBackgroundTaskIdentifier, cancel: CancelHandle)?

  /// The core was told before that the app is in the background.
  static func begin() {
    end()
    let cancel = CancelHandle()
    let task = UIApplication.shared.beginBackgroundTask(withName: "dev.syncline.grace") { end(cancel) }
    // None is given where the time is over already.
    guard task != .invalid else { return }
    current = (task, cancel)
    // Not on the main thread.
    Task.detached {
      await jsonAtRest(cancel: cancel)
      await end(cancel)
    }
  }

  static func end() {
    guard let (task, cancel) = current else { return }
    current = nil
    cancel.cancel()
    UIApplication.shared.endBackgroundTask(task)
  }

  /// Ends this one, unless another has begun since.
  private static func end(_ cancel: CancelHandle) {
    if current?.cancel === cancel { end() }
  }
}
