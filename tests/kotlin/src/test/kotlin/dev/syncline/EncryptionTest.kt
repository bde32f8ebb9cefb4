package dev.syncline

import dev.syncline.core.RetryClass
import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertTrue

private const val KEY_BYTES = 32

class EncryptionTest : Fixture() {
  private fun key(byte: Int) = ByteArray(KEY_BYTES) { byte.toByte() }

  private fun sealed(key: ByteArray?, previous: List<ByteArray> = emptyList()) =
    options("a", connect = false).copy(encryptionKey = key, previousEncryptionKeys = previous)

  @Test
  fun `nothing readable is on the disk, and another key opens nothing`() = scenario {
    val a = open(sealed(key(1)))
    a.create(ROOM, "notes", "n", Note("a secret of ada's"))
    a.close()
    val stored = File(folder, "a").walk().filter { it.isFile }.toList()
    assertTrue(stored.isNotEmpty())
    assertFalse(stored.any { "a secret of ada's" in it.readText(Charsets.ISO_8859_1) })
    for (wrong in listOf(key(2), null)) {
      val refused = assertFailsWith<SyncException> { open(sealed(wrong)) }
      assertEquals("wrong_key" to RetryClass.NEVER, refused.code to refused.retry)
    }
    assertEquals("invalid", assertFailsWith<SyncException> { open(sealed(ByteArray(3))) }.code)
    assertEquals(Note("a secret of ada's"), assertNotNull(open(sealed(key(1))).get(ROOM, "notes", "n")).decode<Note>())
  }

  @Test
  fun `a key is changed by naming the one before, and nothing waiting is lost`() = scenario {
    val a = open(sealed(key(1)))
    a.create(ROOM, "notes", "n", Note("kept"))
    a.close()
    val rotated = open(sealed(key(2), listOf(key(1))))
    assertEquals(1uL, rotated.queue.value.count)
    rotated.close()
    assertEquals("wrong_key", assertFailsWith<SyncException> { open(sealed(key(1))) }.code)
    val again = open(sealed(key(2)))
    again.connect()
    again.flush()
    assertEquals(Note("kept"), assertNotNull(open("b").watch(ROOM, "notes", "n").until { it != null }).decode<Note>())
  }
}
