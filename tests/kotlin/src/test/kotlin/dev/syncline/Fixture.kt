package dev.syncline

import dev.syncline.core.ClientEvent
import dev.syncline.core.ClientOptions
import dev.syncline.core.ConflictStrategy
import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Job
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.io.TempDir

const val ROOM = "user:ada"
val PATIENCE = 30.seconds

@Serializable
data class Note(val title: String, val likes: Int = 0)

fun photo(name: String, vararg bytes: Byte): Argument = argumentOf(Photo(name, bytes))

/** A server and a folder for each test, gone with it. */
abstract class Fixture {
  @TempDir
  lateinit var folder: File

  private val opened = mutableListOf<SyncClient>()
  private val services = mutableListOf<AutoCloseable>()
  private val hearing = mutableListOf<Job>()
  private var running: Server? = null

  val server: Server
    get() = running ?: Server(File(folder, "server")).also { running = it }

  /** Stops the server; the next use of [server] starts it again, with its data, on another port. */
  fun stopServer() {
    running?.close()
    running = null
  }

  fun scenario(body: suspend CoroutineScope.() -> Unit) = runBlocking {
    withTimeout(PATIENCE * 2) {
      body()
      hearing.forEach { it.cancel() }
    }
  }

  fun options(
    name: String,
    connect: Boolean = true,
    token: String? = server.token("ada"),
    url: String = server.url,
    conflict: ConflictStrategy? = null,
    settings: String? = null,
  ) = ClientOptions(
    url = url,
    directory = File(folder, name).path,
    token = token,
    autoConnect = connect,
    conflict = conflict,
    settingsJson = settings,
  )

  suspend fun open(options: ClientOptions): SyncClient = SyncClient.open(options).also { opened += it }

  suspend fun open(name: String, connect: Boolean = true): SyncClient = open(options(name, connect))

  /** A process that ends with the test. */
  fun <T : AutoCloseable> opening(service: T): T = service.also { services += it }

  /** The first value that fits, within a bound. */
  suspend fun <T> Flow<T>.until(fits: (T) -> Boolean): T = waiting { first { fits(it) } }

  suspend fun <T> waiting(body: suspend () -> T): T = withTimeout(PATIENCE) { body() }

  /** Everything that the client tells from now on. Ends with the scenario. */
  fun CoroutineScope.heard(client: SyncClient): ReceiveChannel<ClientEvent> {
    val events = Channel<ClientEvent>(Channel.UNLIMITED)
    val listening = launch(start = CoroutineStart.UNDISPATCHED) { client.events.collect(events::send) }
    hearing += listening
    return events
  }

  suspend inline fun <reified E : ClientEvent> ReceiveChannel<ClientEvent>.firstOf(): E {
    while (true) (receive() as? E)?.let { return it }
  }

  @AfterEach
  fun closeAll() {
    runBlocking {
      for (client in opened) {
        try {
          client.close()
        } catch (closed: SyncException) {
          check(closed.code == "closed") { closed }
        }
      }
    }
    services.forEach { it.close() }
    stopServer()
  }
}
