package dev.syncline

import dev.syncline.core.Emitted
import dev.syncline.core.NamespaceInfo
import dev.syncline.core.SynclineClient
import kotlin.time.Duration
import kotlinx.serialization.json.JsonObject

/**
 * The app's own events over the connection. Those of the server come as `Message` in [SyncClient.events]. A null
 * namespace is the client's own.
 */
class Socket internal constructor(private val core: SynclineClient) {
  /** Sends an event, at once or as soon as there is a connection; a [volatile] one at once or never. */
  suspend fun emit(
    event: String,
    vararg args: Argument,
    volatile: Boolean = false,
    namespace: String? = null,
  ): Emitted = calling { core.emit(event, parcelOf(args.asList()), volatile, namespace) }

  /** Returns the arguments of the server's answer. */
  suspend fun emitWithAck(
    event: String,
    vararg args: Argument,
    timeout: Duration? = null,
    namespace: String? = null,
  ): List<Argument> =
    calling { core.emitWithAck(event, parcelOf(args.asList()), timeout?.toMilliseconds(), namespace) }.decode()

  /** Listens to a name, `activity:*` for all that begin so, or `*`. Counted: each needs its [off]. */
  suspend fun on(event: String, namespace: String? = null) = calling { core.on(event, namespace) }

  suspend fun off(event: String, namespace: String? = null) = calling { core.off(event, namespace) }

  /** Answers an event of the server, once. */
  suspend fun ack(token: ULong, vararg args: Argument) =
    calling { core.ack(token, parcelOf(args.asList())) }

  /**
   * Enters a room by an event, again on each connection. Returns whether the server has let the client in; otherwise it
   * is asked once connected.
   */
  suspend fun joinRoom(room: String, namespace: String? = null): Boolean = calling { core.joinRoom(room, namespace) }

  suspend fun leaveRoom(room: String, namespace: String? = null) = calling { core.leaveRoom(room, namespace) }

  /** Joins a namespace beside the client's own, again on each connection. */
  suspend fun connectNamespace(namespace: String, auth: JsonObject? = null): NamespaceInfo =
    calling { core.connectNamespace(namespace, auth?.toString()) }

  suspend fun disconnectNamespace(namespace: String) = calling { core.disconnectNamespace(namespace) }
}

internal fun Duration.toMilliseconds(): ULong = inWholeMilliseconds.coerceAtLeast(0).toULong()
