package dev.syncline

import dev.syncline.core.LogLevel
import dev.syncline.core.LogLine
import dev.syncline.core.LogListener
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
