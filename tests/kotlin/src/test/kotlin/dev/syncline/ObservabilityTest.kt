package dev.syncline

import dev.syncline.core.AppState
import dev.syncline.core.ClientEvent
import dev.syncline.core.ClientListener
import dev.syncline.core.ClientOptions
import dev.syncline.core.LogLevel
import dev.syncline.core.LogLine
import dev.syncline.core.LogListener
import dev.syncline.core.SynclineClient
import dev.syncline.core.setLogger
import java.util.concurrent.ConcurrentLinkedQueue
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlinx.coroutines.channels.Channel
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long

class ObservabilityTest : Fixture() {
  @Test
  fun `the log reaches its listener, names its events and holds no token`() = scenario {
    val lines = ConcurrentLinkedQueue<LogLine>()
    val arrived = Channel<Unit>(Channel.CONFLATED)
    setLogger(LogLevel.DEBUG, object : LogListener {
      override fun onLine(line: LogLine) {
        lines += line
        arrived.trySend(Unit)
      }
    })
    try {
      val a = open("a", connect = false)
      a.connect()
      waiting { while (lines.none { it.event == "syncline.connected" }) arrived.receive() }
    } finally {
      setLogger(LogLevel.OFF, null)
    }
    assertTrue(lines.all { it.level <= LogLevel.DEBUG && it.atMs > 0uL })
    assertFalse(lines.any { server.token("ada").substringAfterLast('.') in it.message || "Bearer" in it.message })
  }

  @Test
  fun `a listener that throws is logged and counted, and hears the next event`() = scenario {
    val told = Channel<LogLine>(Channel.UNLIMITED)
    setLogger(LogLevel.ERROR, object : LogListener {
      override fun onLine(line: LogLine) {
        told.trySend(line)
      }
    })
    try {
      val client = SynclineClient.open(
        ClientOptions("http://127.0.0.1:9", null, null, autoConnect = false),
        object : ClientListener {
          override fun onEvents(events: List<ClientEvent>) = error("the app's mistake, which may quote a document")
        },
      )
      repeat(3) { number ->
        client.create(ROOM, "notes", "n$number", "{}")
        val line = waiting { told.receive() }
        assertEquals("syncline.listener_failed", line.event)
        // A panic would say so.
        assertEquals("the app's listener threw failures=${number + 1}", line.message)
      }
      client.shutdown()
    } finally {
      setLogger(LogLevel.OFF, null)
    }
  }

  @Test
  fun `a listener to the log that throws loses lines, and the next one counts them`() = scenario {
    val taken = Channel<LogLine>(Channel.UNLIMITED)
    val failed = Channel<Unit>(Channel.UNLIMITED)
    setLogger(LogLevel.DEBUG, object : LogListener {
      override fun onLine(line: LogLine) {
        if (line.event == "syncline.app_state") {
          taken.trySend(line)
        } else {
          failed.trySend(Unit)
          error("the log is full")
        }
      }
    })
    try {
      val a = open("a", connect = false)
      a.connect()
      waiting { failed.receive() }
      a.disconnect()
      // A line that waited with others was taken over before their loss was known.
      waiting {
        do a.setAppState(AppState.ACTIVE) while (taken.receive().dropped == 0uL)
      }
    } finally {
      setLogger(LogLevel.OFF, null)
    }
  }

  @Test
  fun `the figures count what was done, and the trace tells it`() = scenario {
    val a = open("a", connect = false)
    a.create(ROOM, "notes", "n", Note("counted"))
    assertEquals(1, a.stats().getValue("localWrites").jsonPrimitive.long)
    a.connect()
    a.watch(ROOM, "notes", "n").until { it != null && !it.pending }
    val stats = a.stats()
    assertEquals(1, stats.getValue("confirmed").jsonPrimitive.long)
    assertTrue(stats.getValue("bytesSent").jsonPrimitive.long > 0)
    val kinds = a.trace().map { it.jsonObject.getValue("kind").jsonPrimitive.content }
    assertTrue(kinds.indexOf("connect") < kinds.indexOf("connected"), "$kinds")
    assertTrue("pushed" in kinds, "$kinds")
  }
}
