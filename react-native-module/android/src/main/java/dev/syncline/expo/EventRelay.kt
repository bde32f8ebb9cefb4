package dev.syncline.expo

import dev.syncline.core.JsonListener

/** Hands the core's events to the module, from whatever thread, until stopped. */
internal class EventRelay : JsonListener {
  private val lock = Any()
  private var send: ((ULong, String) -> Unit)? = null

  fun start(send: (ULong, String) -> Unit) = synchronized(lock) {
    this.send = send
  }

  /** No event passes after this has returned. */
  fun stop() = synchronized(lock) {
    send = null
  }

  // Sent under the lock, which is what makes `stop` final. Sending only schedules: it cannot come back here.
  override fun onEvents(client: ULong, events: String) {
    synchronized(lock) { send?.invoke(client, events) }
  }
}
