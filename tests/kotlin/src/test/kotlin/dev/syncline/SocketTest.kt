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
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

class SocketTest : Fixture() {
  private val backend by lazy { opening(Backend()) }

  private suspend fun plain() =
    open(options("a", connect = false, token = null, url = backend.url, settings = """{"tokenRequired": false}"""))

  private val question = argumentOf(buildJsonObject { put("text", "well?") })

  @Test
  fun `an event is answered, and one for nobody times out`() = scenario {
    val a = plain()
    a.connect()
    val args = arrayOf(argumentOf(1), argumentOf("two"), question)
    assertEquals(args.asList(), a.socket.emitWithAck("echo", *args))
    val late = assertFailsWith<SyncException> { a.socket.emitWithAck("nobodyAnswers", timeout = 50.milliseconds) }
    assertEquals("timeout" to RetryClass.LATER, late.code to late.retry)
  }

  @Test
  fun `events wait for a connection unless they are volatile, and the server's are heard`() = scenario {
    val a = plain()
    val events = heard(a)
    assertEquals(Emitted.WAITING, a.socket.emit("announce", argumentOf("early")))
    assertEquals(Emitted.DROPPED, a.socket.emit("announce", argumentOf("lost"), volatile = true))
    a.socket.on("news:*")
    a.connect()
    val message = waiting { events.firstOf<ClientEvent.Message>() }.message
    assertEquals("news:early" to """[{"subject":"early"}]""", message.event to message.args.text)
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
    a.socket.ack(token, argumentOf("yes"))
    assertEquals("""["yes"]""", waiting { events.firstOf<ClientEvent.Message>() }.message.args.text)
    assertEquals("not_found", assertFailsWith<SyncException> { a.socket.ack(token) }.code)
  }

  @Test
  fun `bytes go out in an event, and come back in its answer and in what is listened to`() = scenario {
    val a = plain()
    val events = heard(a)
    a.socket.on("developed")
    a.connect()
    val answer = a.socket.emitWithAck("develop", photo("a.jpg", 0, -1, 7)).single()
    assertEquals(photo("a.jpg", 7, -1, 0), argumentOf(answer.decode<Photo>()))
    val told = waiting { events.firstOf<ClientEvent.Message>() }.message.args
    assertEquals(listOf(argumentOf(byteArrayOf(7, -1, 0))), told.decode())
    assertEquals(listOf(byteArrayOf(7, -1, 0).asList()), told.attachments.map { it.asList() })
  }

  @Test
  fun `a question with bytes is answered with bytes`() = scenario {
    val a = plain()
    val events = heard(a)
    a.socket.on("look")
    a.socket.on("looked")
    a.connect()
    a.socket.emit("show", photo("a.jpg", -1))
    val shown = waiting { events.firstOf<ClientEvent.Message>() }.message
    assertEquals(listOf(photo("a.jpg", -1)), shown.args.decode())
    val mine = Argument.Object(mapOf("name" to argumentOf("b.jpg"), "bytes" to argumentOf(byteArrayOf(0, 1))))
    a.socket.ack(assertNotNull(shown.ack), mine)
    assertEquals(listOf<Argument>(mine), waiting { events.firstOf<ClientEvent.Message>() }.message.args.decode())
    assertEquals(parcelOf(mine).text, """{"name":"b.jpg","bytes":{"${'$'}attachment":0}}""")
  }

  @Test
  fun `what only looks like bytes is none`() = scenario {
    val a = plain()
    a.connect()
    val args = arrayOf(
      argumentOf(mapOf("\$attachment" to 0)),
      argumentOf(mapOf("\$bytes" to "not base64")),
      argumentOf(mapOf("\$object" to mapOf("\$attachment" to 1))),
    )
    assertEquals(args.asList(), a.socket.emitWithAck("echo", *args))
  }

  @Test
  fun `rooms and namespaces are entered where the server lets the client in`() = scenario {
    val a = plain()
    a.connect()
    assertTrue(a.socket.joinRoom("lobby:1"))
    assertEquals("forbidden", assertFailsWith<SyncException> { a.socket.joinRoom("closed:1") }.code)
    a.socket.leaveRoom("lobby:1")
    assertTrue(a.socket.connectNamespace("/chat").isOpen)
    val hello = arrayOf(argumentOf("hi"), argumentOf(1), argumentOf(2))
    assertEquals(hello.asList(), a.socket.emitWithAck("echo", *hello, namespace = "/chat"))
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
