package dev.syncline

import dev.syncline.core.Parcel
import dev.syncline.core.jsonCall
import dev.syncline.core.jsonOpen
import dev.syncline.expo.CoreOwner
import dev.syncline.expo.EventRelay
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout

private const val THREADS = 4
private const val EVENTS = 1_000
private const val CONFIG = """{"url":"http://127.0.0.1:9","store":"memory","autoConnect":false}"""

/** What of the Expo module for Android needs no Android. */
class ModuleTest {
  private val nothing = Parcel("[]", emptyList())

  @Test
  fun `an event crosses with its client's number, its text and its bytes`() {
    val sent = ArrayList<Pair<String, Map<String, Any>>>()
    val relay = EventRelay()
    relay.start { event, body -> sent += event to body }
    relay.onEvents(7uL, Parcel("[1]", listOf(byteArrayOf(0, -1))))
    relay.onLines("[2]")
    val (event, body) = sent.first()
    assertEquals(listOf<Any?>("onSynclineEvents", 7.0, "[1]"), listOf(event, body["client"], body["text"]))
    assertContentEquals(byteArrayOf(0, -1), (body.getValue("attachments") as List<*>).single() as ByteArray)
    assertEquals<Any>("onSynclineLog" to mapOf("lines" to "[2]"), sent.last())
  }

  @Test
  fun `no event is sent after the module has stopped, from whatever thread`() {
    val sent = AtomicInteger()
    val relay = EventRelay()
    relay.start { _, _ -> sent.incrementAndGet() }
    val stopped = CountDownLatch(1)
    val threads = List(THREADS) {
      thread {
        repeat(EVENTS) { relay.onEvents(1uL, nothing) }
        stopped.await()
        repeat(EVENTS) { relay.onEvents(1uL, nothing) }
      }
    }
    relay.stop()
    val before = sent.get()
    stopped.countDown()
    threads.forEach(Thread::join)
    assertEquals(before, sent.get())
  }

  @Test
  fun `stopping waits for an event that is being sent`() {
    val (sending, goOn) = CountDownLatch(1) to CountDownLatch(1)
    val relay = EventRelay()
    relay.start { _, _ ->
      sending.countDown()
      goOn.await()
    }
    val sender = thread { relay.onEvents(1uL, nothing) }
    sending.await()
    val stopped = CountDownLatch(1)
    val stopper = thread {
      relay.stop()
      stopped.countDown()
    }
    assertFalse(stopped.await(50, TimeUnit.MILLISECONDS))
    goOn.countDown()
    assertTrue(stopped.await(PATIENCE.inWholeSeconds, TimeUnit.SECONDS))
    listOf(sender, stopper).forEach(Thread::join)
  }

  @Test
  fun `a new module closes what the old one had open, and keeps what is its own until it goes itself`() = runBlocking {
    val (old, new) = EventRelay() to EventRelay()
    suspend fun open(relay: EventRelay): ULong {
      CoreOwner.awaitClosed()
      val reply = jsonOpen(CONFIG, relay)
      return checkNotNull(Regex("\\d+").find(reply)) { reply }.value.toULong()
    }
    suspend fun queue(client: ULong) = jsonCall(client, Parcel("""{"type":"queue"}""", emptyList())).text
    CoreOwner.take(old)
    val left = open(old)
    CoreOwner.take(new)
    val told = Channel<Unit>(Channel.UNLIMITED)
    new.start { _, _ -> told.trySend(Unit) }
    val client = open(new)
    assertTrue("\"closed\"" in queue(left), queue(left))
    CoreOwner.leave(old)
    CoreOwner.awaitClosed()
    assertTrue(queue(client).startsWith("""{"ok":"""), queue(client))
    jsonCall(client, Parcel("""{"type":"watch","room":"list:1","collection":"tasks"}""", emptyList()))
    withTimeout(PATIENCE) { told.receive() }

    new.stop()
    CoreOwner.leave(new)
    CoreOwner.awaitClosed()
    assertTrue("\"closed\"" in queue(client), queue(client))
  }
}
