package dev.syncline

import dev.syncline.core.AppState
import dev.syncline.core.CancelHandle
import dev.syncline.core.ClientEvent
import dev.syncline.core.ClientOptions
import dev.syncline.core.ConflictResolution
import dev.syncline.core.ConflictStrategy
import dev.syncline.core.JobCategory
import dev.syncline.core.JobRequest
import dev.syncline.core.JobTask
import dev.syncline.core.LogLevel
import dev.syncline.core.LogLine
import dev.syncline.core.LogListener
import dev.syncline.core.RetryClass
import dev.syncline.core.setLogger
import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.serialization.Contextual
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray

// example
@Serializable
data class Task(val title: String, val done: Boolean = false)
// end

// example
@Serializable
class Photo(val name: String, @Contextual val bytes: ByteArray)
// end

/** What docs/native.md quotes. */
class ExampleTest : Fixture() {
  private val backend by lazy { opening(Backend()) }

  private suspend fun plain() =
    open(options("a", connect = false, token = null, url = backend.url, settings = """{"tokenRequired": false}"""))

  @Test
  fun `writing and reading`() = scenario {
    val (url, token) = server.url to server.token("ada")
    // example
    val client = SyncClient.open(ClientOptions(url = url, directory = File(folder, "tasks").path, token = token))
    val id = client.newId()
    client.create("user:ada", "tasks", id, Task("Buy milk"))
    client.update("user:ada", "tasks", id) {
      set("done", true)
      increment("edits", 1)
    }
    val task = client.get("user:ada", "tasks", id)?.decode<Task>()
    // end
    assertEquals(Task("Buy milk", done = true), task)
    client.close()
  }

  @Test
  fun `a live query`() = scenario {
    val client = open("a")
    val shown = Channel<List<String>>(Channel.UNLIMITED)
    fun render(titles: List<String>) = shown.trySend(titles)
    client.create("user:ada", "tasks", "a", Task("Buy milk"))
    // example
    val open = Query(
      room = "user:ada",
      collection = "tasks",
      filter = buildJsonObject { putJsonArray("ne") { add(JsonPrimitive("done")); add(JsonPrimitive(true)) } },
      orderBy = listOf(OrderBy("title")),
      limit = 20u,
    )
    val watching = launch {
      client.watch(open).collect { results -> render(results.documents.map { it.decode<Task>().title }) }
    }
    // end
    assertEquals(listOf("Buy milk"), waiting { shown.receive() })
    watching.cancel()
  }

  @Test
  fun `errors and cancelling`() = scenario {
    val client = open("a", connect = false)
    var told: String? = null
    client.setNetwork(available = false, expensive = false, kind = "none")
    // example
    try {
      client.connect()
    } catch (error: SyncException) {
      told = when (error.retry) {
        RetryClass.LATER -> "offline for now (${error.code})"
        RetryClass.AFTER_AUTH -> "sign in again"
        RetryClass.NEVER -> error.message
      }
    }
    // end
    assertEquals("offline for now (offline)", told)
    client.setNetwork(available = true, expensive = false, kind = "wifi")
    // example
    // Whoever holds the handle ends what waits for the server, with SyncCancelledException.
    val handle = CancelHandle()
    val syncing = launch { runCatching { client.withCancel(handle).syncOnce(25.seconds) } }
    handle.cancel()
    syncing.join()
    // end
    assertTrue(handle.isCancelled())
  }

  @Test
  fun `a conflict that the app decides`() = scenario {
    val a = open(options("a", conflict = ConflictStrategy.MANUAL))
    val b = open("b")
    a.create(ROOM, "tasks", "t", Task("first"))
    a.flush()
    b.watch(ROOM, "tasks", "t").until { it != null }
    a.disconnect()
    b.update(ROOM, "tasks", "t") { set("title", "theirs") }
    b.flush()
    a.update(ROOM, "tasks", "t") { set("title", "mine") }
    val client = a
    a.connect()
    a.syncOnce(PATIENCE)
    // example
    for (write in client.conflicts()) {
      val merged = Task(title = "mine, and theirs")
      client.resolveConflict(write.clientSeq, ConflictResolution.Merged(Json.encodeToString(Task.serializer(), merged)))
    }
    // end
    a.flush()
    assertEquals("mine, and theirs", a.watch(ROOM, "tasks", "t").until { it?.pending == false }?.decode<Task>()?.title)
  }

  @Test
  fun `jobs and their handlers`() = scenario {
    val client = plain()
    val told = heard(client)
    val bytes = byteArrayOf(0, -1)
    suspend fun resize(photo: Photo) = photo.bytes.copyOf(1)
    // example
    val working = launch(start = CoroutineStart.UNDISPATCHED) {
      client.events.collect { event ->
        if (event !is ClientEvent.JobLeased) return@collect
        try {
          client.jobs.complete(event.job, event.lease, argumentOf(resize(event.payload.decode())))
        } catch (failure: java.io.IOException) {
          client.jobs.fail(event.job, event.lease, JobCategory.NETWORK, failure.message.orEmpty())
        }
      }
    }
    client.jobs.registerHandlers(listOf("resize"))
    client.jobs.enqueue(JobRequest(JobTask.Handler("resize", parcelOf(Photo("a.jpg", bytes)))))
    // end
    assertEquals(listOf(argumentOf(bytes.copyOf(1))), waiting { told.firstOf<ClientEvent.JobDone>() }.result.result.decode())
    working.cancel()
  }

  @Test
  fun `the app's own events`() = scenario {
    val client = plain()
    client.connect()
    val told = heard(client)
    val bytes = byteArrayOf(0, -1)
    // example
    client.socket.on("news:*")
    client.socket.emit("announce", argumentOf("today"))
    val answer = client.socket.emitWithAck("develop", argumentOf(Photo("a.jpg", bytes)), timeout = 5.seconds)
    val developed: Photo = answer.first().decode()
    // end
    assertEquals(listOf<Byte>(-1, 0), developed.bytes.asList())
    assertEquals("news:today", waiting { told.firstOf<ClientEvent.Message>() }.message.event)
  }

  @Test
  fun `who is there`() = scenario {
    val token = server.token("ada", "list:9")
    val client = open(options("a", token = token))
    // example
    client.presence("list:9", buildJsonObject { put("typing", true) }).first { members ->
      members.any { it.me }
    }
    // end
  }

  @Test
  fun `the life of an app, and a round in the background`() = scenario {
    val client = open("a")
    // example
    client.setAppState(AppState.BACKGROUND)
    val report = client.syncOnce(25.seconds)
    if (!report.complete) println("${report.pending} writes wait: ${report.reason?.message}")
    // end
    assertTrue(report.complete)
  }

  @Test
  fun `encryption, and a new key`() = scenario {
    val (oldKey, newKey) = ByteArray(32) { 1 } to ByteArray(32) { 2 }
    val path = File(folder, "sealed").path
    SyncClient.open(ClientOptions(server.url, path, null, autoConnect = false, encryptionKey = oldKey)).close()
    // example
    val client = SyncClient.open(
      ClientOptions(
        url = server.url, directory = path, token = null, autoConnect = false,
        encryptionKey = newKey, previousEncryptionKeys = listOf(oldKey),
      ),
    )
    // end
    client.close()
  }

  @Test
  fun `the log`() = scenario {
    val lines = Channel<String>(Channel.UNLIMITED)
    fun show(line: String) = lines.trySend(line)
    // example
    setLogger(LogLevel.INFO, object : LogListener {
      override fun onLine(line: LogLine) {
        show("${line.event ?: line.target}: ${line.message}")
      }
    })
    // end
    open("a", connect = false).connect()
    waiting { while (!lines.receive().startsWith("syncline.connected")) Unit }
    setLogger(LogLevel.OFF, null)
  }
}
