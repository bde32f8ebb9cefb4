import ExpoModulesCore
import Foundation

#if canImport(Syncline)
  import Syncline
#endif

/// Carries strings between JavaScript and the core, and tells the core what the system says about app and network.
public final class SynclineModule: Module {
  private let relay = EventRelay()
  private let appState = AppStateForwarder()
  private let network = NetworkForwarder()

  public func definition() -> ModuleDefinition {
    Name("Syncline")

    Events(eventsName, logName)

    OnCreate {
      relay.start { [weak self] event, body in
        self?.sendEvent(event, body)
      }
      CoreOwner.shared.take(relay)
      SystemDevice.install()
      appState.start()
      network.start()
    }

    OnDestroy {
      relay.stop()
      appState.stop()
      network.stop()
      CoreOwner.shared.leave(relay)
    }

    Function("defaultDirectory") { (name: String) throws -> String in
      let folder = try SystemDevice.install().directory()
      return URL(fileURLWithPath: folder, isDirectory: true).appendingPathComponent(name).path
    }

    Function("isBackgroundPermitted") { () -> Bool in
      BackgroundTask.isPermitted
    }

    Function("setLogSink") { [relay] (level: String, isWanted: Bool) -> String in
      jsonSetLogSink(level: level, listener: isWanted ? relay : nil)
    }

    AsyncFunction("open") { [relay] (config: String) async -> String in
      await CoreOwner.shared.whenClosed()
      return await jsonOpen(config: config, listener: relay)
    }

    AsyncFunction("call") { (client: Int, command: String) async -> String in
      await jsonCall(client: UInt64(clamping: client), command: command)
    }

    AsyncFunction("closeAll") { () async in
      await jsonCloseAll()
    }
  }
}
