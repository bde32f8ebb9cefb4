import ExpoModulesCore
import Foundation

#if canImport(Syncline)
  import Syncline
#endif

private let eventsName = "onEvents"

/// Carries strings between JavaScript and the core, and tells the core what the system says about app and network.
public final class SynclineModule: Module {
  private let relay = EventRelay()
  private let appState = AppStateForwarder()
  private let network = NetworkForwarder()

  public func definition() -> ModuleDefinition {
    Name("Syncline")

    Events(eventsName)

    OnCreate {
      relay.start { [weak self] client, events in
        self?.sendEvent(eventsName, ["client": client, "events": events])
      }
      CoreOwner.shared.take(relay)
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
      let support = try FileManager.default.url(
        for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
      return support.appendingPathComponent("syncline").appendingPathComponent(name).path
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
