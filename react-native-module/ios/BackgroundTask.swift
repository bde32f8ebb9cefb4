import BackgroundTasks
import ExpoModulesCore
import Foundation
import UIKit

#if canImport(Syncline)
  import Syncline
#endif

/// Registers the tasks while the app starts, which is the only time for it; iOS may start the app for one of them alone.
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
  /// The app's Info.plist permits them, among `BGTaskSchedulerPermittedIdentifiers`. iOS grants the first by how the app is
  /// used; the second, mostly while the device charges, also comes to an app that is seldom opened.
  private static let refresh = "dev.syncline.background"
  private static let processing = "dev.syncline.background.processing"

  private static var permitted: [String] {
    let named = Bundle.main.object(forInfoDictionaryKey: "BGTaskSchedulerPermittedIdentifiers") as? [String]
    return [refresh, processing].filter { named?.contains($0) ?? false }
  }

  static var isPermitted: Bool { !permitted.isEmpty }

  static func register() {
    for identifier in permitted {
      _ = BGTaskScheduler.shared.register(forTaskWithIdentifier: identifier, using: nil, launchHandler: run)
    }
  }

  /// One run of each; each asks for the next.
  static func schedule(after seconds: TimeInterval) throws {
    guard isPermitted else {
      throw DeviceError.Failed(reason: "Info.plist does not permit the background task \(refresh)")
    }
    let results = permitted.map { identifier in
      Result {
        let request = request(for: identifier)
        request.earliestBeginDate = Date(timeIntervalSinceNow: seconds)
        try BGTaskScheduler.shared.submit(request)
      }
    }
    // One that the system does not take is not in the way of the others.
    for result in results { try result.get() }
  }

  private static func request(for identifier: String) -> BGTaskRequest {
    guard identifier == processing else { return BGAppRefreshTaskRequest(identifier: identifier) }
    let request = BGProcessingTaskRequest(identifier: identifier)
    request.requiresNetworkConnectivity = true
    return request
  }

  static func unschedule() {
    for identifier in permitted {
      BGTaskScheduler.shared.cancel(taskRequestWithIdentifier: identifier)
    }
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
