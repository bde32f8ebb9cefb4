import Foundation
import UIKit

#if canImport(Syncline)
  import Syncline
#endif

/// Tells the core whether the app is seen.
final class AppStateForwarder {
  private var observers: [NSObjectProtocol] = []

  func start() {
    forward(UIApplication.didEnterBackgroundNotification, as: .background)
    forward(UIApplication.willEnterForegroundNotification, as: .inactive)
    forward(UIApplication.didBecomeActiveNotification, as: .active)
    forward(UIApplication.willResignActiveNotification, as: .inactive)
    // The app may have been launched in the background.
    Task { @MainActor [weak self] in
      guard let self, !self.observers.isEmpty else { return }
      setAppState(state: Self.current())
    }
  }

  func stop() {
    observers.forEach(NotificationCenter.default.removeObserver(_:))
    observers = []
  }

  private func forward(_ notification: Notification.Name, as state: AppState) {
    let observer = NotificationCenter.default.addObserver(forName: notification, object: nil, queue: nil) { _ in
      setAppState(state: state)
      // UIKit posts these on the main thread.
      MainActor.assumeIsolated {
        if state == .background { BackgroundGrace.begin() } else { BackgroundGrace.end() }
      }
    }
    observers.append(observer)
  }

  @MainActor
  private static func current() -> AppState {
    switch UIApplication.shared.applicationState {
    case .active: return .active
    case .inactive: return .inactive
    case .background: return .background
    @unknown default: return .inactive
    }
  }
}
