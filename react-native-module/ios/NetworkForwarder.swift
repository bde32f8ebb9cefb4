import Foundation
import Network

#if canImport(Syncline)
  import Syncline
#endif

/// Tells the core about the network that the system would use.
final class NetworkForwarder {
  private var monitor: NWPathMonitor?

  func start() {
    // A cancelled monitor cannot be started again: each start has its own.
    let monitor = NWPathMonitor()
    monitor.pathUpdateHandler = { path in
      setNetwork(
        available: path.status == .satisfied,
        expensive: path.isExpensive || path.isConstrained,
        kind: Self.kind(of: path))
    }
    monitor.start(queue: DispatchQueue(label: "dev.syncline.network"))
    self.monitor = monitor
  }

  func stop() {
    monitor?.cancel()
    monitor = nil
  }

  private static func kind(of path: NWPath) -> String {
    guard path.status == .satisfied else { return "none" }
    if path.usesInterfaceType(.wifi) { return "wifi" }
    if path.usesInterfaceType(.cellular) { return "cellular" }
    if path.usesInterfaceType(.wiredEthernet) { return "ethernet" }
    return "unknown"
  }
}
