package dev.syncline

import dev.syncline.core.AppState
import dev.syncline.core.JsonListener
import dev.syncline.core.Parcel
import dev.syncline.core.jsonCall
import dev.syncline.core.jsonCloseAll
import dev.syncline.core.jsonOpen
import dev.syncline.core.setAppState
import dev.syncline.core.setNetwork
import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import kotlinx.serialization.json.put

private val FOLDERS = listOf("a", "b", "c")

/** Where a transcript failed, from 1, and why. */
class TranscriptFailure(val step: Int, cause: Throwable) : Exception("step $step: ${cause.message}", cause)

/** A scenario of the façade, as every language plays it: see tests/contract/README.md. */
class Transcript(text: String) {
  private val json = Json.parseToJsonElement(text).jsonObject
  val title = json.text("title")
  val failsAt = json["failsAt"]?.jsonPrimitive?.int
  private val needs = json["needs"]?.jsonArray.orEmpty().map { it.jsonPrimitive.content }
  private val patienceMs = json["patienceMs"]?.jsonPrimitive?.long ?: PATIENCE.inWholeMilliseconds
  private val steps = json.getValue("steps").jsonArray.map { it.jsonObject }

  /** Plays it to its end, or to the step that fails. */
  suspend fun play(folder: File) = coroutineScope {
    val player = Player(this, folder, patienceMs)
    try {
      needs.forEach(player::start)
      steps.forEachIndexed { index, step ->
        try {
          player.play(step)
        } catch (failure: Exception) {
          throw TranscriptFailure(index + 1, failure)
        }
      }
    } finally {
      jsonCloseAll()
      player.stopAll()
      coroutineContext.cancelChildren()
    }
  }
}

/** What a client told, until a step looks at it. */
private class Events : JsonListener {
  private val told = ArrayList<JsonObject>()
  private val arrived = Channel<Unit>(Channel.CONFLATED)

  override fun onEvents(client: ULong, events: Parcel) {
    synchronized(told) { attached(events).jsonArray.mapTo(told) { it.jsonObject } }
    arrived.trySend(Unit)
  }

  /** The first that is of one of the types, if there is any. */
  fun take(types: Collection<String>): JsonObject? = synchronized(told) {
    told.indexOfFirst { it.text("type") in types }.takeIf { it >= 0 }?.let(told::removeAt)
  }

  suspend fun next(types: Collection<String>, patienceMs: Long): JsonObject = withTimeout(patienceMs) {
    var event = take(types)
    while (event == null) {
      arrived.receive()
      event = take(types)
    }
    event
  }
}

private class Player(private val scope: CoroutineScope, private val folder: File, private val patienceMs: Long) {
  private class Client(val number: ULong, val events: Events)

  private val bindings = Bindings()
  private val clients = HashMap<String, Client>()
  private val later = HashMap<String, Deferred<Parcel>>()
  private var server: Server? = null
  private var port = 0
  private var backend: Backend? = null

  init {
    for (name in FOLDERS) bindings.bind("folder.$name", File(folder, name).path)
  }

  fun start(service: String) = when (service) {
    "server" -> {
      val started = Server(File(folder, "server"), port)
      server = started
      port = started.port
      bindings.bind(service, started.url)
    }
    else -> bindings.bind(service, Backend().also { backend = it }.url)
  }

  private fun stop(service: String) = if (service == "server") server?.close() else backend?.close()

  fun stopAll() = listOf("server", "backend").forEach(::stop)

  suspend fun play(step: JsonObject) {
    when {
      "token" in step -> {
        val rooms = step.getValue("rooms").jsonArray.map { it.jsonPrimitive.content }
        val ttlS = step["ttlS"]?.jsonPrimitive?.long
        bindings.bind(step.text("as"), checkNotNull(server).token(step.text("token"), *rooms.toTypedArray(), ttlS = ttlS))
      }
      "open" in step -> open(step)
      "call" in step -> call(step)
      "await" in step -> check(answer(later.getValue(step.text("await"))), step)
      "events" in step -> expectEvents(client(step.text("events")).events, step.getValue("are").jsonArray)
      "until" in step -> until(client(step.text("until")).events, step.getValue("event").jsonObject)
      "quiet" in step -> {
        val types = step.getValue("types").jsonArray.map { it.jsonPrimitive.content }
        client(step.text("quiet")).events.take(types)?.let { error("there was $it") }
      }
      "host" in step -> tellHost(step)
      "stop" in step -> stop(step.text("stop"))
      "start" in step -> start(step.text("start"))
      else -> error("no step is like $step")
    }
  }

  private fun client(name: String) = checkNotNull(clients[name]) { "no client $name was opened" }

  private fun sent(step: JsonObject): Parcel =
    step["text"]?.let { Parcel(it.jsonPrimitive.content, emptyList()) }
      ?: detached(bindings.fill(step["config"] ?: step.getValue("command")))

  private suspend fun answer(reply: Deferred<Parcel>) = withTimeout(patienceMs) { reply.await() }

  private suspend fun open(step: JsonObject) {
    val events = Events()
    val reply = jsonOpen(sent(step).text, events)
    check(Parcel(reply, emptyList()), step)
    val opened = Json.parseToJsonElement(reply).jsonObject["ok"]?.jsonObject ?: return
    clients[step.text("open")] = Client(opened.getValue("client").jsonPrimitive.long.toULong(), events)
  }

  private suspend fun call(step: JsonObject) {
    val (number, command) = client(step.text("call")).number to sent(step)
    val reply = scope.async { jsonCall(number, command) }
    if ("later" in step) later[step.text("later")] = reply else check(answer(reply), step)
  }

  /** Compares the reply envelope with what is expected. */
  private fun check(reply: Parcel, step: JsonObject) {
    val expected = step["error"]?.jsonObject?.let { error ->
      val whole = mapOf("message" to JsonPrimitive("\$text"), "retryable" to JsonPrimitive(error.text("retry") != "never"))
      buildJsonObject { put("error", JsonObject(error + whole)) }
    } ?: buildJsonObject { put("ok", step.getValue("answer")) }
    val actual = attached(reply)
    check(bindings.matches(expected, actual)) { "expected $expected, was $actual" }
  }

  /** The next events of the types that are expected must be these, in this order; those of a group in any. */
  private suspend fun expectEvents(events: Events, are: JsonArray) {
    val groups = are.map { one -> one.jsonObject["\$unordered"]?.jsonArray?.toMutableList() ?: mutableListOf(one) }
    val types = groups.flatten().map { it.jsonObject.text("type") }
    for (group in groups) {
      while (group.isNotEmpty()) {
        val actual: JsonElement = events.next(types, patienceMs)
        check(bindings.takeFitting(group, actual)) { "expected $group, was $actual" }
      }
    }
  }

  private suspend fun until(events: Events, expected: JsonObject) {
    val types = listOf(expected.text("type"))
    do {
      val actual = events.next(types, patienceMs)
    } while (!bindings.matches(expected, actual))
  }

  private suspend fun tellHost(step: JsonObject) {
    fun flag(name: String) = step.getValue(name).jsonPrimitive.boolean
    when (val call = step.text("host")) {
      "setAppState" -> setAppState(AppState.valueOf(step.text("state").uppercase()))
      "setNetwork" -> setNetwork(flag("available"), flag("expensive"), step.text("kind"))
      "closeAll" -> jsonCloseAll()
      else -> error("the host has no call $call")
    }
  }
}

private fun JsonObject.text(name: String) = getValue(name).jsonPrimitive.content
