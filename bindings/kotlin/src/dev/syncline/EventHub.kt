package dev.syncline

import dev.syncline.core.ClientEvent
import dev.syncline.core.ClientListener
import dev.syncline.core.ConnectionInfo
import dev.syncline.core.Member
import dev.syncline.core.ProgressInfo
import dev.syncline.core.QueueInfo
import dev.syncline.core.State
import dev.syncline.core.Watching
import kotlinx.coroutines.channels.BufferOverflow
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.emptyFlow
import kotlinx.coroutines.flow.filterNotNull
import kotlinx.coroutines.flow.mapNotNull
import kotlinx.coroutines.flow.onSubscription
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.sync.Mutex

private const val EVENTS_KEPT = 256

/** Takes the core's events, on a thread of the core, and keeps what the flows show. Runs no code of the app. */
internal class EventHub : ClientListener {
  val connection = MutableStateFlow(UNKNOWN_CONNECTION)
  val queue = MutableStateFlow(EMPTY_QUEUE)
  val progress = MutableStateFlow<ProgressInfo?>(null)

  /** Whoever falls behind by more than these misses the oldest; what lasts is in the states. */
  private val all = MutableSharedFlow<ClientEvent>(0, EVENTS_KEPT, BufferOverflow.DROP_OLDEST)

  /** What came before anybody listened, such as that a token is needed: for the first who does. Null from then on. */
  private var early: ArrayDeque<ClientEvent>? = ArrayDeque()
  val events = all.onSubscription {
    val missed = synchronized(lock) { early.also { early = null } }
    missed?.forEach { emit(it) }
  }

  private val lock = Any()
  private val live = HashMap<ULong, LiveRows>()
  private val presences = HashMap<String, Presence>()
  private var closed = false

  /** Held while a room is joined or left in the core: a late leave must not undo the next join. */
  val turns = Mutex()

  /** Watches that are beginning, and what came for watches nobody has claimed meanwhile. */
  private var beginning = 0
  private val unclaimed = ArrayList<ClientEvent>()

  override fun onEvents(events: List<ClientEvent>) {
    for (event in events) {
      val isKept = synchronized(lock) {
        take(event)
        keepEarly(event)
      }
      if (!isKept) all.tryEmit(event)
    }
  }

  private fun take(event: ClientEvent) {
    when (event) {
      is ClientEvent.Connection -> connection.value = event.status
      is ClientEvent.Queue -> queue.value = event.status
      is ClientEvent.Progress -> progress.value = event.progress
      is ClientEvent.Presence -> presences[event.room]?.apply(event)
      is ClientEvent.Rows -> live[event.watch]?.apply(event) ?: keep(event)
      is ClientEvent.Room -> {
        live.values.forEach { it.apply(event.status) }
        keep(event)
      }
      else -> Unit
    }
  }

  /** Whether it waits for the first who listens; what a flow of its own shows does not. */
  private fun keepEarly(event: ClientEvent): Boolean {
    val kept = early ?: return false
    when (event) {
      is ClientEvent.Connection, is ClientEvent.Queue, is ClientEvent.Progress -> return false
      is ClientEvent.Presence, is ClientEvent.Rows, is ClientEvent.Room -> return false
      else -> Unit
    }
    if (kept.size == EVENTS_KEPT) kept.removeFirst()
    return kept.add(event)
  }

  private fun keep(event: ClientEvent) {
    if (beginning > 0) unclaimed += event
  }

  /** Begins a watch. Its first events may overtake the answer to [watch]: they are kept until it is here. */
  suspend fun begin(watch: suspend () -> Watching): LiveRows {
    synchronized(lock) { beginning += 1 }
    var started: LiveRows? = null
    try {
      val watching = watch()
      started = LiveRows(watching)
    } finally {
      synchronized(lock) {
        started?.let { rows ->
          if (closed) rows.close() else live[rows.watch] = rows
          for (event in unclaimed) {
            when (event) {
              is ClientEvent.Rows -> if (event.watch == rows.watch) rows.apply(event)
              is ClientEvent.Room -> rows.apply(event.status)
              else -> Unit
            }
          }
        }
        beginning -= 1
        if (beginning == 0) unclaimed.clear()
      }
    }
    return checkNotNull(started)
  }

  fun end(rows: LiveRows) = synchronized(lock) { live.remove(rows.watch) }

  /** Whether it is the first of the room; each needs its [leave]. */
  fun join(room: String): Boolean = synchronized(lock) {
    val presence = presences.getOrPut(room) { Presence() }
    presence.count += 1
    presence.count == 1
  }

  /** Whether it was the last. */
  fun leave(room: String): Boolean = synchronized(lock) {
    val presence = presences[room] ?: return false
    presence.count -= 1
    if (presence.count == 0) presences.remove(room)
    presence.count == 0
  }

  /** Ends when the client closes, which may have been since the room was joined. */
  fun membersOf(room: String): Flow<ClientEvent.Presence> = synchronized(lock) {
    presences[room]?.events() ?: emptyFlow()
  }

  /** Nothing comes any more: the flows of rows and of members end. */
  fun close() = synchronized(lock) {
    closed = true
    connection.value = connection.value.copy(state = State.CLOSED)
    live.values.forEach { it.close() }
    live.clear()
    presences.values.forEach { it.close() }
    presences.clear()
  }

  private class Presence {
    var count = 0
    private val states = MutableStateFlow<Known?>(Known(null))

    fun events(): Flow<ClientEvent.Presence> = states.takeWhile { it != null }.mapNotNull { it?.event }

    fun apply(event: ClientEvent.Presence) {
      states.value = Known(event)
    }

    fun close() {
      states.value = null
    }

    /** What was told last; null before anything was. */
    private data class Known(val event: ClientEvent.Presence?)
  }

  companion object {
    val UNKNOWN_CONNECTION = ConnectionInfo(
      state = State.IDLE,
      reason = null,
      attempts = 0u,
      retryInMs = null,
      userId = null,
      cause = null,
      data = null,
      recovered = false,
    )
    val EMPTY_QUEUE = QueueInfo(
      count = 0u,
      bytes = 0u,
      processing = false,
      writes = 0u,
      events = 0u,
      requests = 0u,
      handlers = 0u,
      deadLetters = 0u,
      paused = false,
    )
  }
}

/** The rows of one watch, kept as the core describes it at `ClientEvent.Rows`. */
internal class LiveRows(watching: Watching) {
  val watch = watching.watch
  private val states = MutableStateFlow<Results?>(
    Results(watching.rows.map { it.toDocument() }, watching.count, watching.room),
  )

  /** Ends when the client closes. Who is slow sees the newest only. */
  fun results(): Flow<Results> = states.takeWhile { it != null }.filterNotNull()

  fun apply(event: ClientEvent.Rows) {
    val before = states.value ?: return
    val upserted = event.upserted.map { it.toDocument() }
    val documents = if (event.reset) upserted else merged(before.documents, upserted, event)
    states.value = before.copy(documents = documents, count = event.count ?: before.count)
  }

  fun apply(room: dev.syncline.core.RoomInfo) {
    val before = states.value ?: return
    if (before.room.room == room.room) states.value = before.copy(room = room)
  }

  fun close() {
    states.value = null
  }

  private fun merged(before: List<Document>, upserted: List<Document>, event: ClientEvent.Rows): List<Document> {
    val gone = HashSet(event.removed)
    upserted.mapTo(gone) { it.id }
    val stay = before.filterNot { it.id in gone }
    val indexes = event.indexes ?: return (stay + upserted).sortedWith { a, b -> compareCodePoints(a.id, b.id) }
    val merged = ArrayList<Document>(stay.size + upserted.size)
    val rest = stay.iterator()
    for ((document, index) in upserted.zip(indexes)) {
      while (merged.size.toULong() < index && rest.hasNext()) merged += rest.next()
      merged += document
    }
    rest.forEachRemaining { merged += it }
    return merged
  }
}

/** The core orders ids by code points; Kotlin compares UTF-16, where a surrogate pair sorts before U+E000. */
private fun compareCodePoints(a: String, b: String): Int {
  val left = a.codePoints().iterator()
  val right = b.codePoints().iterator()
  while (left.hasNext() && right.hasNext()) {
    val order = left.nextInt().compareTo(right.nextInt())
    if (order != 0) return order
  }
  return left.hasNext().compareTo(right.hasNext())
}
