import BackgroundTasks
import ExpoModulesCore
import Foundation
import UIKit

#if canImport(Syncline)
  import Syncline
#endif

/// Registers the task while the app starts, which is the only time for it; iOS may start the app for the task alone.
public final class SynclineAppDelegateSubscriber: ExpoAppDelegateSubscriber {
  public func application(
    _ application: UIApplication, didFinishLaunchingWithOptions launchOptions: [UIApplication.LaunchOptionsKey: Any]? = nil
  ) -> Bool {
    BackgroundTask.register()
    return true
  }
}

/// A round in the background, without JavaScript.
enum BackgroundTask {
  /// The app's Info.plist permits it, among `BGTaskSchedulerPermittedIdentifiers`.
  static let identifier = "dev.syncline.background"

  private static var isPermitted: Bool {
    let permitted = Bundle.main.object(forInfoDictionaryKey: "BGTaskSchedulerPermittedIdentifiers") as? [String]
    return permitted?.contains(identifier) ?? false
  }

  static func register() {
    guard isPermitted else { return }
    _ = BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil, launchHandler: run)
  }

  /// One run; each asks for the next.
  static func schedule(after seconds: TimeInterval) throws {
    guard isPermitted else {
      throw DeviceError.Failed(reason: "Info.plist does not permit the background task \(identifier)")
    }
    let request = BGAppRefreshTaskRequest(identifier: identifier)
    request.earliestBeginDate = Date(timeIntervalSinceNow: seconds)
    try BGTaskScheduler.shared.submit(request)
  }

  static func unschedule() {
    BGTaskScheduler.shared.cancel(taskRequestWithIdentifier: identifier)
  }

  private static func run(_ task: BGTask) {
    SystemDevice.install()
    let cancel = CancelHandle()
    task.expirationHandler = { cancel.cancel() }
    Task.detached {
      let outcome = await jsonBackgroundSync(cancel: cancel)
      task.setTaskCompleted(success: outcome != .incomplete)
    }
  }
}
