package dev.syncline

import java.io.File
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir

/** The transcripts of the contract, through the generated binding's façade. */
class TranscriptTest {
  @TempDir
  lateinit var folder: File

  @TestFactory
  fun `a transcript is what the façade does`(): List<DynamicTest> = transcripts("transcripts") { name, transcript ->
    runBlocking { transcript.play(File(folder, name).apply { mkdirs() }) }
  }

  @TestFactory
  fun `a wrong transcript fails where it is wrong`(): List<DynamicTest> = transcripts("transcripts/wrong") { name, transcript ->
    val failure = assertFailsWith<TranscriptFailure> {
      runBlocking { transcript.play(File(folder, name).apply { mkdirs() }) }
    }
    assertEquals(transcript.failsAt, failure.step, failure.message)
  }

  private fun transcripts(path: String, play: (String, Transcript) -> Unit): List<DynamicTest> {
    val files = File(System.getProperty("syncline.contract"), path).listFiles { file -> file.extension == "json" }
    check(!files.isNullOrEmpty()) { "there are no transcripts in $path" }
    return files.sorted().map { file ->
      val transcript = Transcript(file.readText())
      dynamicTest("${file.nameWithoutExtension}: ${transcript.title}") { play(file.nameWithoutExtension, transcript) }
    }
  }
}
