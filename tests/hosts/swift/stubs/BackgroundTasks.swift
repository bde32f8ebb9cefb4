// What our module uses of BackgroundTasks, with Apple's signatures and no bodies.
import Foundation

open class BGTask {
  public var expirationHandler: (() -> Void)?
  public func setTaskCompleted(success: Bool) {}
}

open class BGTaskRequest {
  public var earliestBeginDate: Date?
}

public final class BGAppRefreshTaskRequest: BGTaskRequest {
  public init(identifier: String) {}
}

public final class BGProcessingTaskRequest: BGTaskRequest {
  public init(identifier: String) {}
  public var requiresNetworkConnectivity: Bool = false
}

public final class BGTaskScheduler: @unchecked Sendable {
  public class var shared: BGTaskScheduler { fatalError("a stub") }
  public func register(
    forTaskWithIdentifier identifier: String, using queue: DispatchQueue?, launchHandler: @escaping (BGTask) -> Void
  ) -> Bool { false }
  public func submit(_ taskRequest: BGTaskRequest) throws {}
  public func cancel(taskRequestWithIdentifier identifier: String) {}
}
