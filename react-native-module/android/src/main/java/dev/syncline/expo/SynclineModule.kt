package dev.syncline.expo

import android.content.Context
import dev.syncline.core.jsonCall
import dev.syncline.core.jsonCloseAll
import dev.syncline.core.jsonOpen
import dev.syncline.core.jsonSetLogSink
import expo.modules.kotlin.exception.Exceptions
import expo.modules.kotlin.functions.Coroutine
import expo.modules.kotlin.modules.Module
import expo.modules.kotlin.modules.ModuleDefinition
import java.io.File

/** Carries strings between JavaScript and the core, and tells the core what the system says about app and network. */
class SynclineModule : Module() {
  private val relay = EventRelay()
  private val appState = AppStateForwarder()
  private val network = NetworkForwarder()

  private val context: Context
    get() = appContext.reactContext?.applicationContext ?: throw Exceptions.ReactContextLost()

  override fun definition() = ModuleDefinition {
    Name("Syncline")

    Events(EVENTS, LOG)

    OnCreate {
      relay.start { event, body -> sendEvent(event, body) }
      CoreOwner.take(relay)
      SystemDevice.install(context)
      appState.start()
      network.start(context)
    }

    OnDestroy {
      relay.stop()
      appState.stop()
      network.stop()
      CoreOwner.leave(relay)
    }

    Function("defaultDirectory") { name: String ->
      File(SystemDevice.install(context).directory(), name).path
    }

    // WorkManager asks nobody.
    Function("isBackgroundPermitted") { true }

    Function("setLogSink") { level: String, isWanted: Boolean ->
      jsonSetLogSink(level, if (isWanted) relay else null)
    }

    AsyncFunction("open") Coroutine { config: String ->
      CoreOwner.awaitClosed()
      jsonOpen(config, relay)
    }

    AsyncFunction("call") Coroutine { client: Long, command: String ->
      jsonCall(client.toULong(), command)
    }

    AsyncFunction("closeAll") Coroutine { ->
      jsonCloseAll()
    }
  }
}
