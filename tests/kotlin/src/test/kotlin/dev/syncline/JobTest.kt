package dev.syncline

import dev.syncline.core.ClientEvent
import dev.syncline.core.DeadJobReason
import dev.syncline.core.JobCategory
import dev.syncline.core.JobRequest
import dev.syncline.core.JobTask
import dev.syncline.core.QueuedKind
import dev.syncline.core.RetryClass
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

class JobTest : Fixture() {
  private val backend by lazy { opening(Backend()) }

  private fun plain(name: String, connect: Boolean = false) =
    options(name, connect, token = null, url = backend.url, settings = """{"tokenRequired": false, "jobRetryDelayMs": 10}""")

  private suspend fun <T> ReceiveChannel<ClientEvent>.until(pick: (ClientEvent) -> T?): T = waiting {
    var picked: T? = null
    while (picked == null) picked = pick(receive())
    picked
  }

  private fun resize(payload: Int = 1) = JobRequest(JobTask.Handler("resize", parcelOf(payload)))

  @Test
  fun `a queued event is sent once connected, and its answer told`() = scenario {
    val a = open(plain("a"))
    val events = heard(a)
    val job = a.jobs.enqueue(JobRequest(JobTask.Event("order", parcelOf(listOf(mapOf("item" to 7)))), keepOutcome = true)).job
    assertEquals(1uL, a.queue.until { it.events == 1uL }.count)
    a.connect()
    val done = events.until { (it as? ClientEvent.JobDone)?.result }
    assertEquals(job, done.job)
    assertEquals("""[{"accepted":7}]""", done.result.text)
    assertEquals(listOf(job), a.jobs.results().map { it.job })
    a.jobs.acknowledge(job)
    assertTrue(a.jobs.results().isEmpty())
  }

  @Test
  fun `a request that the server refuses is a dead letter, and can be retried as another one`() = scenario {
    val a = open(plain("a"))
    val events = heard(a)
    val refused = JobTask.Request("POST", "/api/nonsense", emptyMap(), null)
    val job = a.jobs.enqueue(JobRequest(refused)).job
    val letter = events.until { (it as? ClientEvent.JobDead)?.letter }
    assertEquals(DeadJobReason.REFUSED, letter.reason)
    assertEquals(JobCategory.VALIDATION, letter.error.category)
    assertEquals(422.toUShort(), letter.error.status)
    assertEquals(listOf(job), a.jobs.deadLetters().map { it.job })
    a.jobs.retry(job, JobTask.Request("POST", "/api/orders", emptyMap(), parcelOf(mapOf("item" to 1))))
    assertEquals(job, events.until { (it as? ClientEvent.JobDone)?.result }.job)
    assertTrue(a.jobs.deadLetters().isEmpty())
  }

  @Test
  fun `only the newest lease of a handler ends its job`() = scenario {
    val a = open(plain("a"))
    val events = heard(a)
    a.jobs.registerHandlers(listOf("resize"))
    val request = resize().copy(dedupeKey = "photo-1")
    val enqueued = a.jobs.enqueue(request)
    assertTrue(a.jobs.enqueue(request).duplicate)
    val first = events.until { it as? ClientEvent.JobLeased }
    assertEquals(enqueued.job, first.job)
    a.jobs.extendLease(first.job, first.lease)
    a.jobs.fail(first.job, first.lease, JobCategory.NETWORK, "no route")
    assertEquals("no route", events.until { it as? ClientEvent.JobFailed }.error.message)
    val second = events.until { it as? ClientEvent.JobLeased }
    assertNotEquals(first.lease, second.lease)
    assertEquals(first.idempotencyKey, second.idempotencyKey)
    val late = assertFailsWith<SyncException> { a.jobs.complete(first.job, first.lease) }
    assertEquals("conflict" to RetryClass.NEVER, late.code to late.retry)
    a.jobs.complete(second.job, second.lease, argumentOf(buildJsonObject { put("width", 3) }))
    assertEquals("""[{"width":3}]""", events.until { (it as? ClientEvent.JobDone)?.result }.result.text)
  }

  @Test
  fun `a handler is given bytes, and its result has some`() = scenario {
    val a = open(plain("a"))
    val events = heard(a)
    a.jobs.enqueue(JobRequest(JobTask.Handler("resize", parcelOf(photo("a.jpg", 0, -1)))))
    val task = a.jobs.list().single().task as JobTask.Handler
    assertEquals(photo("a.jpg", 0, -1), task.payload.decode())
    a.jobs.registerHandlers(listOf("resize"))
    val leased = events.until { it as? ClientEvent.JobLeased }
    assertEquals(photo("a.jpg", 0, -1), leased.payload.decode())
    a.jobs.complete(leased.job, leased.lease, argumentOf(byteArrayOf(-1)))
    val result = events.until { (it as? ClientEvent.JobDone)?.result }.result
    assertEquals(listOf(argumentOf(byteArrayOf(-1))), result.decode())
  }

  @Test
  fun `a queued event carries bytes, and so does its answer`() = scenario {
    val a = open(plain("a"))
    val events = heard(a)
    a.jobs.enqueue(JobRequest(JobTask.Event("develop", parcelOf(listOf(photo("a.jpg", 0, -1))))))
    a.connect()
    val done = events.until { (it as? ClientEvent.JobDone)?.result }
    assertEquals(listOf(photo("a.jpg", -1, 0)), done.result.decode())
  }

  @Test
  fun `jobs outlive the client, and wait until they are asked for where that is wanted`() = scenario {
    val a = open(plain("a"))
    a.jobs.setAutoProcessing(false)
    val job = a.jobs.enqueue(JobRequest(JobTask.Request("POST", "/api/nonsense", emptyMap(), null))).job
    a.close()
    val again = open(options("a", connect = false, token = null, url = backend.url, settings = """{"tokenRequired": false, "jobAuto": false}"""))
    assertEquals(listOf(job), again.jobs.list().map { it.job })
    again.jobs.edit(job, JobTask.Request("POST", "/api/orders", emptyMap(), parcelOf(2)))
    assertEquals(1uL, again.jobs.process().processed)
    assertTrue(again.jobs.list().isEmpty())
    again.jobs.enqueue(resize(2))
    assertEquals(1uL, again.jobs.clear(listOf(QueuedKind.HANDLER)))
    assertEquals("not_found", assertFailsWith<SyncException> { again.jobs.drop(job) }.code)
  }
}
