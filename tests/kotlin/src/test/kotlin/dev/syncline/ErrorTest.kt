package dev.syncline

import dev.syncline.core.CancelHandle
import dev.syncline.core.ClientEvent
import dev.syncline.core.RetryClass
import dev.syncline.core.State
import java.net.InetAddress
import java.net.ServerSocket
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch

class ErrorTest : Fixture() {
  @Test
  fun `a refused token is cured by another one`() = scenario {
    val a = open(options("a", connect = false, token = "not a token"))
    val refused = assertFailsWith<SyncException> { a.connect() }
    assertEquals("unauthorized", refused.code)
    assertEquals(RetryClass.AFTER_AUTH, refused.retry)
    a.setToken(server.token("ada"))
    a.connect()
  }

  @Test
  fun `a token that is needed while the client opens is told to the first who listens`() = scenario {
    val a = open(options("a", token = null))
    a.connection.until { it.reason?.code == "no_auth_token" }
    a.events.until { it is ClientEvent.TokenNeeded }
  }

  @Test
  fun `a malformed call is never worth a retry`() = scenario {
    val a = open("a", connect = false)
    val refused = assertFailsWith<SyncException> { a.create("", "notes", "n", Note("x")) }
    assertEquals("invalid", refused.code)
    assertEquals(RetryClass.NEVER, refused.retry)
    assertFalse(refused.retryable)
  }

  @Test
  fun `an unreachable server is worth a retry`() = scenario {
    val token = server.token("ada")
    val url = server.url
    stopServer()
    val a = open(options("a", connect = false, token = token, url = url))
    val refused = assertFailsWith<SyncException> { a.connect() }
    assertEquals("unreachable", refused.code)
    assertEquals(RetryClass.LATER, refused.retry)
  }

  @Test
  fun `a room that the token does not allow is reported as forbidden`() = scenario {
    val a = open("a")
    val denied = a.watch(Query("list:7", "notes")).until { it.room.error != null }
    assertEquals("forbidden", denied.room.error?.code)
    assertEquals(RetryClass.NEVER, denied.room.error?.retry)
  }

  @Test
  fun `a closed client says so and its flows end`() = scenario {
    val a = open("a", connect = false)
    val watching = launch(start = CoroutineStart.UNDISPATCHED) { a.watch(Query(ROOM, "notes")).collect {} }
    a.watch(Query(ROOM, "notes")).until { true }
    a.close()
    watching.join()
    assertEquals("closed", assertFailsWith<SyncException> { a.newId() }.code)
    assertEquals("closed", assertFailsWith<SyncException> { a.close() }.code)
  }

  @Test
  fun `a directory in use is refused`() = scenario {
    open("a", connect = false)
    assertEquals("in_use", assertFailsWith<SyncException> { open("a", connect = false) }.code)
  }

  @Test
  fun `a client whose opening was cut short leaves its directory free`() = scenario {
    repeat(20) {
      val opening = launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { open("a", connect = false) }
      opening.cancelAndJoin()
      open("a", connect = false).close()
    }
  }

  @Test
  fun `a client whose first calls fail leaves its directory free`() = scenario {
    val failed = assertFailsWith<SyncException> {
      SyncClient.open(options("a", connect = false)) { _, _ -> throw SyncException("internal", RetryClass.LATER, "no") }
    }
    assertEquals("internal", failed.code)
    open("a", connect = false)
  }

  @Test
  fun `a cancel handle ends a call that waits in Rust`() = scenario {
    silentServer().use { silent ->
      val a = open(options("a", connect = false, token = "any", url = silent.url))
      val handle = CancelHandle()
      val connect = async(start = CoroutineStart.UNDISPATCHED) {
        runCatching { a.withCancel(handle).connect() }.exceptionOrNull()
      }
      a.connection.until { it.state == State.CONNECTING }
      assertTrue(connect.isActive)
      handle.cancel()
      assertTrue(connect.await() is SyncCancelledException)
      assertTrue(handle.isCancelled())
      assertEquals(0uL, a.queue.value.count, "others can still call")
    }
  }

  @Test
  fun `a write is finished also when its handle is cancelled`() = scenario {
    val a = open("a", connect = false)
    val handle = CancelHandle().apply { cancel() }
    a.withCancel(handle).create(ROOM, "notes", "n", Note("kept"))
    assertFailsWith<SyncCancelledException> { a.withCancel(handle).flush() }
    assertNotNull(a.get(ROOM, "notes", "n"))
  }

  @Test
  fun `cancelled coroutines leave the client usable`() = scenario {
    silentServer().use { silent ->
      val a = open(options("a", connect = false, token = "any", url = silent.url))
      repeat(100) {
        val connect = launch(start = CoroutineStart.UNDISPATCHED) { a.connect() }
        val watching = launch(start = CoroutineStart.UNDISPATCHED) { a.watch(Query(ROOM, "notes")).collect {} }
        connect.cancelAndJoin()
        watching.cancelAndJoin()
      }
      a.create(ROOM, "notes", "n", Note("still here"))
      assertEquals(1, a.watch(Query(ROOM, "notes")).until { true }.documents.size)
    }
  }

  /** Takes connections and never says anything. */
  private fun silentServer() = ServerSocket(0, 50, InetAddress.getLoopbackAddress())

  private val ServerSocket.url get() = "http://127.0.0.1:$localPort"
}
