package dev.syncline

import dev.syncline.core.ClientEvent
import dev.syncline.core.ClientListener
import dev.syncline.core.ClientOptions
import dev.syncline.core.SynclineClient
import java.io.File
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout

private const val CYCLES = 1000
private const val WARM_UP_CYCLES = 100
private const val GROWTH_KB_MAX = 24 * 1024L
private const val THREADS_MORE_MAX = 8

class ResourceTest : Fixture() {
  @Test
  fun `a thousand clients opened and closed leave nothing behind`() = runBlocking {
    suspend fun cycle() {
      val client = SyncClient.open(ClientOptions("http://127.0.0.1:9", null, null, autoConnect = false))
      client.create(ROOM, "notes", "n", Note("x"))
      client.watch(Query(ROOM, "notes")).until { it.documents.size == 1 }
      client.close()
    }
    repeat(WARM_UP_CYCLES) { cycle() }
    val before = resources()
    repeat(CYCLES) { cycle() }
    val after = resources()
    println("$CYCLES cycles: threads ${before.threads} -> ${after.threads}, kB ${before.residentKb} -> ${after.residentKb}")
    assertTrue(after.threads <= before.threads + THREADS_MORE_MAX, "threads: ${before.threads} -> ${after.threads}")
    val growth = after.residentKb - before.residentKb
    assertTrue(growth < GROWTH_KB_MAX, "resident memory grew by $growth kB")
  }

  @Test
  fun `a directory can be opened again and again`() = scenario {
    repeat(20) { round ->
      val client = open("a", connect = false)
      assertEquals(round.toULong(), client.queue.value.count)
      client.create(ROOM, "notes", "n$round", Note("round $round"))
      client.close()
    }
  }

  @Test
  fun `a listener that throws is called again`() = scenario {
    val calls = AtomicInteger()
    val twice = CompletableDeferred<Unit>()
    val client = openWith(object : ClientListener {
      override fun onEvents(events: List<ClientEvent>) {
        if (calls.incrementAndGet() >= 3) twice.complete(Unit)
        error("the app's mistake")
      }
    })
    repeat(3) { number ->
      client.create(ROOM, "notes", "n$number", "{}")
      withTimeout(PATIENCE) { while (calls.get() <= number) kotlinx.coroutines.yield() }
    }
    withTimeout(PATIENCE) { twice.await() }
    assertEquals(3uL, client.queue().count)
    client.shutdown()
  }

  @Test
  fun `a listener may call the client back`() = scenario {
    val answered = CompletableDeferred<ULong>()
    val opened = CompletableDeferred<SynclineClient>()
    val client = openWith(object : ClientListener {
      override fun onEvents(events: List<ClientEvent>) {
        if (answered.isCompleted) return
        runBlocking { answered.complete(opened.await().queue().count) }
      }
    })
    opened.complete(client)
    client.create(ROOM, "notes", "n", "{}")
    assertTrue(withTimeout(PATIENCE) { answered.await() } <= 1uL)
    client.shutdown()
  }

  private suspend fun openWith(listener: ClientListener) =
    SynclineClient.open(ClientOptions("http://127.0.0.1:9", null, null, autoConnect = false), listener)

  private data class Resources(val threads: Int, val residentKb: Long)

  private fun resources(): Resources {
    repeat(3) { System.gc() }
    val status = File("/proc/self/status").readLines().associate { it.substringBefore(':') to it.substringAfter(':').trim() }
    return Resources(
      threads = status.getValue("Threads").toInt(),
      residentKb = status.getValue("VmRSS").substringBefore(' ').toLong(),
    )
  }
}
