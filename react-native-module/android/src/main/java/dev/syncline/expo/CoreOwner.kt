package dev.syncline.expo

import dev.syncline.core.jsonCloseAll
import dev.syncline.core.jsonSetLogSink
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.launch

/**
 * The core belongs to the newest module: on a reload the old one may be destroyed after the new one was made, and
 * must not close what the new one uses.
 */
internal object CoreOwner {
  // Outlives every module: closing goes on when the one that asked for it is gone.
  private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)
  private val lock = Any()
  private var owner: EventRelay? = null
  private var closing: Job? = null

  /** Closes what another owner has open, whose events nobody would get any more. */
  fun take(relay: EventRelay) = synchronized(lock) {
    if (owner != null && owner !== relay) close()
    owner = relay
  }

  /** Closes every client and ends the log, unless the core has a new owner. */
  fun leave(relay: EventRelay) = synchronized(lock) {
    if (owner !== relay) return@synchronized
    owner = null
    jsonSetLogSink("off", null)
    close()
  }

  /** Called under the lock. */
  private fun close() {
    val before = closing
    closing = scope.launch {
      before?.join()
      jsonCloseAll()
    }
  }

  /** Returns when what an earlier owner left behind is closed. */
  suspend fun awaitClosed() {
    synchronized(lock) { closing }?.join()
  }
}
