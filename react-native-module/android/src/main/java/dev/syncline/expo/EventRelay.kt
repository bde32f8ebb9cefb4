package dev.syncline.expo

import dev.syncline.core.JsonListener
import dev.syncline.core.JsonLogListener
import dev.syncline.core.Parcel

// Not the names of others: React Native passes an event to every module that declares one of its name.
internal const val EVENTS = "onSynclineEvents"
internal const val LOG = "onSynclineLog"

/** As JavaScript gets it, where a `ByteArray` is a `Uint8Array`. */
internal val Parcel.body: Map<String, Any>
  get() = mapOf("text" to text, "attachments" to attachments)

/** Hands what the core tells, its log too, to the module, from whatever thread, until stopped. */
internal class EventRelay : JsonListener, JsonLogListener {
  private val lock = Any()
  private var send: ((String, Map<String, Any>) -> Unit)? = null

  fun start(send: (String, Map<String, Any>) -> Unit) = synchronized(lock) {
    this.send = send
  }

  /** No event passes after this has returned. */
  fun stop() = synchronized(lock) {
    send = null
  }

  // JavaScript has no 64-bit integer: numbers cross as doubles.
  override fun onEvents(client: ULong, events: Parcel) =
    pass(EVENTS, events.body + ("client" to client.toDouble()))

  override fun onLines(lines: String) = pass(LOG, mapOf("lines" to lines))

  // Sent under the lock, which is what makes `stop` final. Sending only schedules: it cannot come back here.
  private fun pass(event: String, body: Map<String, Any>) {
    synchronized(lock) { send?.invoke(event, body) }
  }
}
