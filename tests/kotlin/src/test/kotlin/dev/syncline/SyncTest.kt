package dev.syncline

import dev.syncline.core.AppState
import dev.syncline.core.ConflictResolution
import dev.syncline.core.ConflictStrategy
import dev.syncline.core.State
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.produceIn
import kotlinx.coroutines.flow.receiveAsFlow
import kotlinx.coroutines.launch
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray

class SyncTest : Fixture() {
  @Test
  fun `an offline edit reaches the other device`() = scenario {
    val a = open("a", connect = false)
    val b = open("b")
    val note = a.newId()
    a.create(ROOM, "notes", note, Note("written offline", 1))
    a.update(ROOM, "notes", note) { increment("likes", 2) }
    val row = assertNotNull(a.get(ROOM, "notes", note))
    assertTrue(row.pending)
    assertEquals(Note("written offline", 3), row.decode<Note>())
    a.queue.until { it.count > 0uL }

    a.connect()
    val arrived = b.watch(ROOM, "notes", note).until { it != null }
    assertEquals(Note("written offline", 3), assertNotNull(arrived).decode<Note>())
    a.queue.until { it.count == 0uL }
    assertFalse(assertNotNull(a.get(ROOM, "notes", note)).pending)
  }

  @Test
  fun `every operation of a patch has its effect`() = scenario {
    val a = open("a", connect = false)
    a.create(ROOM, "notes", "n", buildJsonObject {
      put("title", "old")
      put("draft", true)
      putJsonArray("tags") { add(JsonPrimitive("x")); add(JsonPrimitive("y")) }
    })
    a.update(ROOM, "notes", "n") {
      set("title", "new")
      unset("draft")
      union("tags", "y", "z")
      set("author", Note("nested"))
      serverTime("seen")
    }
    val fields = assertNotNull(a.get(ROOM, "notes", "n")).fields
    assertEquals("new", fields.getValue("title").jsonPrimitive.content)
    assertEquals("""["x","y","z"]""", fields.getValue("tags").toString())
    assertFalse("draft" in fields)
    assertTrue("seen" in fields)
    assertEquals("""{"title":"nested"}""", fields.getValue("author").toString())
  }

  @Test
  fun `a live query shows what it selects in its order`() = scenario {
    val a = open("a", connect = false)
    for (rank in 1..4) {
      a.create(ROOM, "tasks", "t$rank", buildJsonObject { put("rank", rank); put("done", rank == 4) })
    }
    val query = Query(
      ROOM,
      "tasks",
      filter = buildJsonObject { putJsonArray("eq") { add(JsonPrimitive("done")); add(JsonPrimitive(false)) } },
      orderBy = listOf(OrderBy("rank", Direction.DESCENDING)),
      limit = 2u,
    )
    val shown = a.watch(query).produceIn(this)
    val first = shown.receive()
    assertEquals(listOf("t3", "t2"), first.documents.map { it.id })
    assertEquals(3uL, first.count)
    a.update(ROOM, "tasks", "t1") { set("rank", 9) }
    shown.receiveAsFlow().until { results -> results.documents.map { it.id } == listOf("t1", "t3") }
    shown.cancel()
  }

  @Test
  fun `an unordered live query stays in the order of ids`() = scenario {
    val a = open("a", connect = false)
    val ids = listOf("b", "a", "\uD83D\uDE00", "\uE000", "c")
    ids.forEach { a.create(ROOM, "notes", it, Note(it)) }
    val live = a.watch(Query(ROOM, "notes"))
    val expected = listOf("a", "aa", "b", "c", "\uE000", "\uD83D\uDE00")
    val all = async { live.until { it.documents.size == 6 } }
    a.create(ROOM, "notes", "aa", Note("between"))
    assertEquals(expected, all.await().documents.map { it.id })
  }

  @Test
  fun `a conflict waits for the app and ends as it says`() = scenario {
    val a = open(options("a", conflict = ConflictStrategy.MANUAL))
    val b = open("b")
    a.create(ROOM, "drafts", "d", Note("first"))
    a.flush()
    b.watch(ROOM, "drafts", "d").until { it != null }
    a.watch(ROOM, "drafts", "d").until { it != null && !it.pending }
    a.disconnect()
    b.update(ROOM, "drafts", "d") { set("title", "of b") }
    b.flush()
    a.update(ROOM, "drafts", "d") { set("title", "of a") }
    a.connect()
    a.syncOnce(PATIENCE)
    val parked = a.conflicts().single()
    assertEquals(listOf("title"), parked.conflict.fields)
    a.resolveConflict(parked.clientSeq, ConflictResolution.Local)
    a.flush()
    val settled = b.watch(ROOM, "drafts", "d").until { it?.decode<Note>()?.title == "of a" }
    assertNotNull(settled)
    assertTrue(a.conflicts().isEmpty())
  }

  @Test
  fun `members of a room see each other come and go`() = scenario {
    val token = server.token("ada", "list:9")
    val a = open(options("a", token = token))
    val b = open(options("b", token = token))
    val nobody = buildJsonObject {}
    val typing = buildJsonObject { put("typing", true) }
    val present = launch { b.presence("list:9", typing).collect {} }
    val seen = a.presence("list:9", nobody).until { members -> members.any { !it.me } }
    assertEquals("""{"typing":true}""", seen.single { !it.me }.stateJson)
    val alone = async { a.presence("list:9", nobody).until { members -> members.isNotEmpty() && members.all { it.me } } }
    present.cancel()
    alone.await()
  }

  @Test
  fun `what shows the members of a room ends when the client closes`() = scenario {
    val a = open(options("a", token = server.token("ada", "list:9")))
    val members = a.presence("list:9", buildJsonObject {}).produceIn(this)
    waiting { members.receive() }
    a.close()
    waiting { members.receiveAsFlow().collect {} }
  }

  @Test
  fun `the states follow the app into the background and back`() = scenario {
    val a = open("a")
    a.connection.until { it.state == State.OPEN }
    a.setNetwork(available = false, expensive = false, kind = "none")
    a.setAppState(AppState.BACKGROUND)
    a.disconnect()
    a.connection.until { it.state == State.IDLE }
    a.create(ROOM, "notes", "n", Note("from a task"))
    a.setNetwork(available = true, expensive = true, kind = "cellular")
    val report = a.syncOnce(PATIENCE)
    assertTrue(report.complete, report.reason?.message)
    assertEquals(0uL, report.pending)
    a.setAppState(AppState.ACTIVE)
    a.connect()
    assertEquals(State.OPEN, a.connection.until { it.state == State.OPEN }.state)
    assertEquals("ada", a.connection.value.userId)
  }

  @Test
  fun `what was written before a restart is still there and is sent`() = scenario {
    val a = open("a", connect = false)
    a.create(ROOM, "notes", "n", Note("kept"))
    a.close()
    val again = open("a", connect = false)
    assertEquals(1uL, again.queue.value.count)
    assertEquals(Note("kept"), assertNotNull(again.get(ROOM, "notes", "n")).decode<Note>())
    again.connect()
    again.flush()
    again.delete(ROOM, "notes", "n")
    again.flush()
    assertNull(again.get(ROOM, "notes", "n"))
  }
}
