package dev.syncline

import dev.syncline.core.JsonListener
import dev.syncline.core.Parcel
import dev.syncline.core.jsonCall
import dev.syncline.core.jsonCloseAll
import dev.syncline.core.jsonOpen
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray

private const val COUNT = 1_000
private const val TEXT_CHARS = 164
private const val NS_PER_US = 1e3

/** The benchmark `ffi` through Kotlin: orders on standard input, answers on standard output (tests/bench). */
fun main() = runBlocking {
  val host = Host.open()
  for (line in generateSequence(::readLine)) {
    val order = Json.parseToJsonElement(line).jsonObject
    val (samples, work) = order.getValue("samples").jsonPrimitive.int to order.getValue("work")
    println(if (work is JsonObject) host.batches(samples, work.getValue("batch").jsonPrimitive.int) else host.calls(samples))
  }
  jsonCloseAll()
}

/** A client that watches, through the façade's text. */
private class Host private constructor() : JsonListener {
  private class Changed(val rows: Int, val readingUs: Double)

  private var client = 0uL

  /** Never what a document holds already: that would change nothing. */
  private var position = COUNT
  private val changed = Channel<Changed>(Channel.UNLIMITED)

  override fun onEvents(client: ULong, events: Parcel) {
    val begin = System.nanoTime()
    val rows = Json.parseToJsonElement(events.text).jsonArray.sumOf { it.jsonObject["upserted"]?.jsonArray?.size ?: 0 }
    changed.trySend(Changed(rows, (System.nanoTime() - begin) / NS_PER_US))
  }

  suspend fun calls(samples: Int): JsonObject {
    val values = List(samples) { timed { call("""{"type":"queue"}""") }.second }
    return answer(values, null)
  }

  suspend fun batches(samples: Int, rows: Int): JsonObject {
    val taken = List(samples) {
      position += 1
      val command = changes(rows, position)
      val (readingUs, us) = timed { change(command, rows) }
      readingUs / rows to us / rows
    }
    return answer(taken.map { it.second }, taken.map { it.first })
  }

  /** Returns the microseconds that reading took. */
  private suspend fun change(command: String, rows: Int): Double {
    call(command)
    var (left, readingUs) = rows to 0.0
    while (left > 0) {
      val some = changed.receive()
      left -= some.rows
      readingUs += some.readingUs
    }
    return readingUs
  }

  private suspend fun call(command: String): JsonObject = opened(jsonCall(client, Parcel(command, emptyList())).text)

  companion object {
    suspend fun open(): Host {
      val host = Host()
      val reply = opened(jsonOpen("""{"url":"http://127.0.0.1:1","store":"memory","autoConnect":false}""", host))
      host.client = reply.getValue("client").jsonPrimitive.long.toULong()
      host.call(creation())
      host.call("""{"type":"watch","room":"list:ffi","collection":"notes"}""")
      return host
    }
  }
}

private fun opened(reply: String): JsonObject {
  val envelope = Json.parseToJsonElement(reply).jsonObject
  return checkNotNull(envelope["ok"]) { reply }.jsonObject
}

private inline fun <T> timed(work: () -> T): Pair<T, Double> {
  val begin = System.nanoTime()
  val done = work()
  return done to (System.nanoTime() - begin) / NS_PER_US
}

private fun answer(values: List<Double>, reading: List<Double>?) = buildJsonObject {
  fun array(numbers: List<Double>) = JsonArray(numbers.map(::JsonPrimitive))
  put("values", array(values))
  putJsonArray("also") { reading?.let { add(array(it)) } }
}

private fun creation() = writes(COUNT) { number ->
  """{"create":{"done":false,"position":$number,"text":"${"x".repeat(TEXT_CHARS)}"}}"""
}

/** Each becomes part of the write before, so that the queue does not grow. */
private fun changes(rows: Int, position: Int) = writes(rows) { """{"update":{"position":{"set":$position}}}""" }

private fun writes(count: Int, write: (Int) -> String): String {
  val all = (0 until count).joinToString(",") { number ->
    val id = "n" + number.toString().padStart(4, '0')
    """{"room":"list:ffi","collection":"notes","id":"$id","write":${write(number)}}"""
  }
  return """{"type":"write","writes":[$all]}"""
}
