package dev.syncline

import java.io.File
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.util.concurrent.TimeUnit
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

private const val STOP_S = 20L

/** A server process in development mode, on a port of its own. */
class Server(data: File, port: Int = 0) : AutoCloseable {
  private val process: Process =
    ProcessBuilder(
      System.getenv("SYNCLINE_SERVER_BIN"), "--listen", "127.0.0.1:$port", "--data", data.path, "--dev",
    ).redirectError(ProcessBuilder.Redirect.DISCARD).start()

  val url: String = process.inputReader().readLine().substringAfterLast(' ')
  val port: Int = URI(url).port

  /** A token of a user, who may enter his own room and [rooms]. */
  fun token(user: String, vararg rooms: String): String {
    val claims = """{"sub": "$user", "rooms": [${rooms.joinToString { "\"$it\"" }}]}"""
    val request = HttpRequest.newBuilder(URI("$url/dev/token"))
      .header("Content-Type", "application/json")
      .POST(HttpRequest.BodyPublishers.ofString(claims))
      .build()
    val response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString())
    return Json.parseToJsonElement(response.body()).jsonObject.getValue("token").jsonPrimitive.content
  }

  override fun close() {
    process.destroy()
    if (!process.waitFor(STOP_S, TimeUnit.SECONDS)) process.destroyForcibly().waitFor()
  }
}
