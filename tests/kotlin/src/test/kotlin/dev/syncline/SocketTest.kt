package dev.syncline

import dev.syncline.core.CancelHandle
import dev.syncline.core.ClientEvent
import dev.syncline.core.Emitted
import dev.syncline.core.RetryClass
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

class SocketTest : Fixture() {
  private val backend by lazy { opening(Backend()) }

  private suspend fun plain() =
    open(options("a", connect = false, token = null, url = backend.url, settings = """{"tokenRequired": false}"""))

  private val question = buildJsonObject { put("text", "well?") }

  @Test
  fun `an event is answered, and one for nobody times out`() = scenario {
    val a = plain()
    a.connect()
    val args = arrayOf(JsonPrimitive(1), JsonPrimitive("two"), question)
    assertEquals(JsonArray(args.asList()), a.socket.emitWithAck("echo", *args))
    val late = assertFailsWith<SyncException> { a.socket.emitWithAck("nobodyAnswers", timeout = 50.milliseconds) }
    assertEquals("timeout" to RetryClass.LATER, late.code to late.retry)
  }

  @Test
  fun `events wait for a connection unless they are volatile, and the server's are heard`() = scenario {
    val a = plain()
    val events = heard(a)
    assertEquals(Emitted.WAITING, a.socket.emit("announce", JsonPrimitive("early")))
    assertEquals(Emitted.DROPPED, a.socket.emit("announce", JsonPrimitive("lost"), volatile = true))
    a.socket.on("news:*")
    a.connect()
    val message = waiting { events.firstOf<ClientEvent.Message>() }.message
    assertEquals("news:early" to """[{"subject":"early"}]""", message.event to message.argsJson)
  }

  @Test
  fun `a question of the server is answered once`() = scenario {
    val a = plain()
    val events = heard(a)
    a.socket.on("question")
    a.socket.on("answered")
    a.connect()
    assertEquals(Emitted.SENT, a.socket.emit("ask", question))
    val token = assertNotNull(waiting { events.firstOf<ClientEvent.Message>() }.message.ack)
    a.socket.ack(token, JsonPrimitive("yes"))
    assertEquals("""["yes"]""", waiting { events.firstOf<ClientEvent.Message>() }.message.argsJson)
    assertEquals("not_found", assertFailsWith<SyncException> { a.socket.ack(token) }.code)
  }

  @Test
  fun `rooms and namespaces are entered where the server lets the client in`() = scenario {
    val a = plain()
    a.connect()
    assertTrue(a.socket.joinRoom("lobby:1"))
    assertEquals("forbidden", assertFailsWith<SyncException> { a.socket.joinRoom("closed:1") }.code)
    a.socket.leaveRoom("lobby:1")
    assertTrue(a.socket.connectNamespace("/chat").isOpen)
    val hello = arrayOf(JsonPrimitive("hi"), JsonPrimitive(1), JsonPrimitive(2))
    assertEquals(JsonArray(hello.asList()), a.socket.emitWithAck("echo", *hello, namespace = "/chat"))
    assertEquals("forbidden", assertFailsWith<SyncException> { a.socket.connectNamespace("/closed") }.code)
    a.socket.disconnectNamespace("/chat")
  }

  @Test
  fun `a cancelled handle ends the wait for an answer`() = scenario {
    val a = plain()
    a.connect()
    val handle = CancelHandle()
    val answer = async(start = CoroutineStart.UNDISPATCHED) {
      runCatching { a.withCancel(handle).socket.emitWithAck("nobodyAnswers") }.exceptionOrNull()
    }
    handle.cancel()
    assertTrue(answer.await() is SyncCancelledException)
  }
}
