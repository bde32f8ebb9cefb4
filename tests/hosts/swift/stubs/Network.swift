// What our module uses of Network, with Apple's signatures and no bodies.
import Dispatch

public struct NWInterface: Sendable {
  public enum InterfaceType: Sendable {
    case other
    case wifi
    case cellular
    case wiredEthernet
    case loopback
  }
}

public struct NWPath: Sendable {
  public enum Status: Sendable {
    case satisfied
    case unsatisfied
    case requiresConnection
  }

  public let status: Status
  public var isExpensive: Bool { fatalError("a stub") }
  public var isConstrained: Bool { fatalError("a stub") }

  public func usesInterfaceType(_ type: NWInterface.InterfaceType) -> Bool { fatalError("a stub") }
}

public final class NWPathMonitor: @unchecked Sendable {
  public init() {}
  public var pathUpdateHandler: (@Sendable (_ newPath: NWPath) -> Void)?
  public func start(queue: DispatchQueue) {}
  public func cancel() {}
}
