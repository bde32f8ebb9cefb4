// What our module uses of UIKit, with Apple's signatures and no bodies.
import Foundation

open class UIResponder {
  public init() {}
}

@MainActor
public protocol UIApplicationDelegate {}

public struct UIBackgroundTaskIdentifier: Hashable, Sendable, RawRepresentable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  public static let invalid = UIBackgroundTaskIdentifier(rawValue: 0)
}

@MainActor
public final class UIApplication {
  public struct LaunchOptionsKey: Hashable, Sendable {}

  public enum State: Int, Sendable {
    case active = 0
    case inactive = 1
    case background = 2
  }

  public class var shared: UIApplication { fatalError("a stub") }
  public var applicationState: State { fatalError("a stub") }
  public func beginBackgroundTask(
    withName taskName: String?, expirationHandler handler: (@MainActor @Sendable () -> Void)? = nil
  ) -> UIBackgroundTaskIdentifier { .invalid }
  public func endBackgroundTask(_ identifier: UIBackgroundTaskIdentifier) {}

  public nonisolated static let didEnterBackgroundNotification = Notification.Name("didEnterBackground")
  public nonisolated static let willEnterForegroundNotification = Notification.Name("willEnterForeground")
  public nonisolated static let didBecomeActiveNotification = Notification.Name("didBecomeActive")
  public nonisolated static let willResignActiveNotification = Notification.Name("willResignActive")
}
