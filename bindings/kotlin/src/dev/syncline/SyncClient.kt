package dev.syncline

import dev.syncline.core.AppState
import dev.syncline.core.CancelHandle
import dev.syncline.core.ClientEvent
import dev.syncline.core.ClientOptions
import dev.syncline.core.ConflictResolution
import dev.syncline.core.ConnectionInfo
import dev.syncline.core.Member
import dev.syncline.core.ParkedWrite
import dev.syncline.core.ProgressInfo
import dev.syncline.core.QueueInfo
import dev.syncline.core.RejectedWrite
import dev.syncline.core.SyncReport
import dev.syncline.core.SynclineClient
import kotlin.time.Duration
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.SharedFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.emitAll
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.encodeToJsonElement
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject

/**
 * One client of one server, with its data in one directory. Calls suspend and throw [SyncException]; what changes by
 * itself is a flow.
 *
 * A coroutine that is cancelled stops waiting, in Rust too. A write that was begun is finished all the same.
 */
class SyncClient private constructor(private val core: SynclineClient, private val hub: EventHub) {
  companion object {
    /** Opens the data and starts the client. */
    suspend fun open(options: ClientOptions): SyncClient = open(options, ::readStates)

    /** [begin] is what is done before anybody holds the client. */
    internal suspend fun open(options: ClientOptions, begin: suspend (SynclineClient, EventHub) -> Unit): SyncClient {
      calling { SystemTrust.installOnAndroid() }
      val hub = EventHub()
      // Not cut short: a client that nobody holds would keep its directory.
      val client = withContext(NonCancellable) { SyncClient(calling { SynclineClient.open(options, hub) }, hub) }
      try {
        calling { begin(client.core, hub) }
        currentCoroutineContext().ensureActive()
      } catch (failure: Throwable) {
        client.quietly { client.close() }
        throw failure
      }
      return client
    }

    private suspend fun readStates(core: SynclineClient, hub: EventHub) {
      hub.connection.compareAndSet(EventHub.UNKNOWN_CONNECTION, core.connection())
      hub.queue.compareAndSet(EventHub.EMPTY_QUEUE, core.queue())
    }
  }

  /** What is carried out when it can be. */
  val jobs = JobQueue(core)

  /** The app's own events over the connection. */
  val socket = Socket(core)

  val connection: StateFlow<ConnectionInfo> = hub.connection.asStateFlow()

  val queue: StateFlow<QueueInfo> = hub.queue.asStateFlow()

  /** How far the current round of synchronization has come; null before the first. */
  val progress: StateFlow<ProgressInfo?> = hub.progress.asStateFlow()

  /** Everything that the client tells, also what the states show: outcomes, conflicts, tokens needed. */
  val events: SharedFlow<ClientEvent> = hub.events

  /** The same client, whose calls that wait for the server throw [SyncCancelledException] on [CancelHandle.cancel]. */
  fun withCancel(handle: CancelHandle) = SyncClient(core.withCancel(handle), hub)

  /** Returns when the session is open, or fails with the first attempt, after which attempts go on. */
  suspend fun connect() = calling { core.connect() }

  suspend fun disconnect() = calling { core.disconnect() }

  /** Answers [ClientEvent.TokenNeeded], or comes by itself. Null forgets the token. */
  suspend fun setToken(token: String?) = calling { core.setToken(token) }

  /** Answers [ClientEvent.TokenNeeded]: there is none now. Asked again later, if [retryable]. */
  suspend fun tokenFailed(request: ULong, message: String, retryable: Boolean = true) =
    calling { core.tokenFailed(request, message, retryable) }

  suspend fun setAppState(state: AppState) = calling { core.setAppState(state) }

  /** What the system says of the network; [kind] is `wifi`, `cellular`, `ethernet`, `none` or `unknown`. */
  suspend fun setNetwork(available: Boolean, expensive: Boolean, kind: String) =
    calling { core.setNetwork(available, expensive, kind) }

  /** Counted: each needs its [unsubscribe]. */
  suspend fun subscribe(room: String) = calling { core.subscribe(room) }

  suspend fun unsubscribe(room: String) = calling { core.unsubscribe(room) }

  /** A fresh UUIDv7. */
  suspend fun newId(): String = calling { core.newId() }

  suspend fun get(room: String, collection: String, id: String): Document? =
    calling { core.document(room, collection, id)?.toDocument() }

  /** Returns the write's number once it is on disk; `fields` is a `@Serializable` object or a [JsonObject]. */
  suspend inline fun <reified T> create(room: String, collection: String, id: String, fields: T): ULong =
    createFrom(room, collection, id, Json.encodeToJsonElement(fields).jsonObject)

  @PublishedApi
  internal suspend fun createFrom(room: String, collection: String, id: String, fields: JsonObject): ULong =
    calling { core.create(room, collection, id, fields.toString()) }

  /** Returns the write's number once it is on disk. */
  suspend fun update(room: String, collection: String, id: String, patch: Patch.() -> Unit): ULong =
    calling { core.update(room, collection, id, Patch().apply(patch).toJson()) }

  /** Returns the write's number once it is on disk. */
  suspend fun delete(room: String, collection: String, id: String): ULong =
    calling { core.delete(room, collection, id) }

  /** What the query shows, now and after each change, for as long as it is collected; ends when the client closes. */
  fun watch(query: Query): Flow<Results> = flow {
    val live = withContext(NonCancellable) {
      hub.begin { calling { core.watch(query.room, query.collection, query.id, query.selectionJson()) } }
    }
    try {
      emitAll(live.results())
    } finally {
      hub.end(live)
      quietly { core.unwatch(live.watch) }
    }
  }

  /** One document, null while there is none. */
  fun watch(room: String, collection: String, id: String): Flow<Document?> =
    watch(Query(room, collection, id)).map { it.documents.firstOrNull() }

  /**
   * Announces this client in a room, and tells who is there, for as long as it is collected; ends when the client closes.
   * Fails where the server does not allow it. The state is that of the first who collects.
   */
  fun presence(room: String, state: JsonObject): Flow<List<Member>> = flow {
    var joined = false
    try {
      hub.turns.withLock {
        val isFirst = hub.join(room)
        joined = true
        if (isFirst) {
          try {
            calling { core.presenceJoin(room, state.toString()) }
          } catch (failure: Throwable) {
            // Before anybody else has their turn: the next who collects is the first, and announces.
            joined = false
            if (hub.leave(room)) quietly { core.presenceLeave(room) }
            throw failure
          }
        }
      }
      emitAll(hub.membersOf(room).map { event -> event.error?.let { throw it.asException() } ?: event.members })
    } finally {
      if (joined) quietly { hub.turns.withLock { if (hub.leave(room)) core.presenceLeave(room) } }
    }
  }

  /** Sets fields of the state, and removes those that are null; with [expiresIn] they vanish by themselves. */
  suspend fun updatePresence(room: String, state: JsonObject, expiresIn: Duration? = null) = calling {
    core.presenceUpdate(room, state.toString(), expiresIn?.toMilliseconds())
  }

  /** Writes that the server refused and the app has not acknowledged. */
  suspend fun outcomes(): List<RejectedWrite> = calling { core.outcomes() }

  suspend fun acknowledgeOutcome(clientSeq: ULong) = calling { core.acknowledgeOutcome(clientSeq) }

  /** Writes in conflict that wait for [resolveConflict]. */
  suspend fun conflicts(): List<ParkedWrite> = calling { core.conflicts() }

  suspend fun resolveConflict(clientSeq: ULong, resolution: ConflictResolution) =
    calling { core.resolveConflict(clientSeq, resolution) }

  /** Connects without backoff, pulls and drains. */
  suspend fun syncNow() = calling { core.syncNow() }

  /** Asks the server what is new in one room, or in all that are subscribed; returns when that is here. */
  suspend fun pull(room: String? = null) = calling { core.pull(room) }

  /** Sends at once what waits to be sent; returns when the server has answered everything written before. */
  suspend fun flush() = calling { core.flush() }

  /** For a background task: connects if need be, pulls and drains; returns at the latest after [deadline]. */
  suspend fun syncOnce(deadline: Duration): SyncReport =
    calling { core.syncOnce(deadline.toMilliseconds()) }

  /** What the client did since it was opened: counts, sizes, times. */
  suspend fun stats(): JsonObject = Json.parseToJsonElement(calling { core.statsJson() }).jsonObject

  /** The last events of the synchronization, oldest first: `{atMs, kind, detail}` each. */
  suspend fun trace(): JsonArray = Json.parseToJsonElement(calling { core.traceJson() }).jsonArray

  /** Makes everything durable and ends the client. The directory may be opened again when it returns. */
  suspend fun close() = withContext(NonCancellable) {
    try {
      calling { core.shutdown() }
    } finally {
      hub.close()
      core.destroy()
    }
  }

  /** Undoes something, also in a coroutine that is cancelled; a client that is closed has undone it already. */
  private suspend fun quietly(call: suspend () -> Unit) = withContext(NonCancellable) {
    try {
      calling(call)
    } catch (_: SyncException) {
    }
  }
}
