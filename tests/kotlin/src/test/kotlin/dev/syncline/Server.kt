package dev.syncline

import java.io.File
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.util.concurrent.TimeUnit
import kotlin.random.Random
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

private const val STOP_S = 20L
private const val SECRET_BYTES = 32

/** A process that says where it listens. */
abstract class Service(vararg command: String) : AutoCloseable {
  private val process: Process = ProcessBuilder(*command).redirectError(ProcessBuilder.Redirect.DISCARD).start()

  val url: String = process.inputReader().readLine().substringAfterLast(' ')
  val port: Int = URI(url).port

  override fun close() {
    process.destroy()
    if (!process.waitFor(STOP_S, TimeUnit.SECONDS)) process.destroyForcibly().waitFor()
  }
}

/** The same from start to start, so that tokens stay good. */
private fun secretBeside(data: File) = File(data.parentFile, "${data.name}.secret").apply {
  if (createNewFile()) writeText(Random.nextBytes(SECRET_BYTES).toHexString())
}

/** The Socket.IO backend without sync, on a port of its own. */
class Backend : Service(System.getenv("SYNCLINE_BACKEND_BIN"))

/** A server process in development mode, by default on a port of its own. */
class Server(data: File, port: Int = 0) : Service(
  System.getenv("SYNCLINE_SERVER_BIN"), "--listen", "127.0.0.1:$port", "--data", data.path, "--dev",
  "--jwt-secret-file", secretBeside(data).path,
) {
  /** A token of a user, who may enter his own room and [rooms], for as long as the server says or [ttlS]. */
  fun token(user: String, vararg rooms: String, ttlS: Long? = null): String {
    val claims = """{"sub": "$user", "rooms": [${rooms.joinToString { "\"$it\"" }}], "ttl_s": $ttlS}"""
    val request = HttpRequest.newBuilder(URI("$url/dev/token"))
      .header("Content-Type", "application/json")
      .POST(HttpRequest.BodyPublishers.ofString(claims))
      .build()
    val response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString())
    return Json.parseToJsonElement(response.body()).jsonObject.getValue("token").jsonPrimitive.content
  }
}
