// What our module uses of UIKit, with Apple's signatures and no bodies.
import Foundation

open class UIResponder {
  public init() {}
}

@MainActor
public protocol UIApplicationDelegate {}

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

  public nonisolated static let didEnterBackgroundNotification = Notification.Name("didEnterBackground")
  public nonisolated static let willEnterForegroundNotification = Notification.Name("willEnterForeground")
  public nonisolated static let didBecomeActiveNotification = Notification.Name("didBecomeActive")
  public nonisolated static let willResignActiveNotification = Notification.Name("willResignActive")
}
