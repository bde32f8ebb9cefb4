package dev.syncline

import dev.syncline.core.CertificateDistrust
import dev.syncline.core.CertificateJudge
import dev.syncline.core.setCertificateJudge
import java.io.File
import java.net.InetAddress
import java.security.KeyStore
import java.util.concurrent.CompletableFuture
import java.util.concurrent.TimeUnit
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLException
import javax.net.ssl.SSLServerSocket
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

private const val PASSWORD = "changeit"

/** What Android does in each handshake: the Java machine's trust manager is asked. */
class TrustTest : Fixture() {
  @AfterTest
  fun rustJudgesAgain() = setCertificateJudge(null)

  @Test
  fun `a server that the trust manager believes is spoken to`() = scenario {
    val keys = keys("localhost")
    setCertificateJudge(SystemTrust(managerFor(keys)))
    val (refusal, request) = connectTo(keys)
    assertEquals("GET", request?.substringBefore(' '), "the handshake ended, and the client spoke: $refusal")
  }

  @Test
  fun `a server that it does not know is refused`() = scenario {
    setCertificateJudge(SystemTrust(managerFor(keys("localhost"))))
    assertRefused(keys("localhost"), "unknown authority")
  }

  @Test
  fun `a believed certificate of another host is refused`() = scenario {
    val keys = keys("other.example")
    setCertificateJudge(SystemTrust(managerFor(keys)))
    assertRefused(keys, "another host")
  }

  @Test
  fun `an expired certificate is told apart`() = scenario {
    val keys = keys("localhost", "-startdate", "-9d", "-validity", "2")
    setCertificateJudge(SystemTrust(managerFor(keys)))
    assertRefused(keys, "not valid at this time")
  }

  @Test
  fun `a judge that fails believes nobody`() = scenario {
    setCertificateJudge(object : CertificateJudge {
      override fun judge(chain: List<ByteArray>, server: String): Unit = error("a judge that fails")
    })
    assertRefused(keys("localhost"), "not accepted")
    setCertificateJudge(object : CertificateJudge {
      override fun judge(chain: List<ByteArray>, server: String): Unit =
        throw CertificateDistrust.Unavailable("it is away")
    })
    assertRefused(keys("localhost"), "not accepted")
  }

  @Test
  fun `bytes that are no certificate are not trusted`() {
    val trust = SystemTrust(managerFor(keys("localhost")))
    assertFailsWith<CertificateDistrust.NotTrusted> { trust.judge(listOf(byteArrayOf(1, 2, 3)), "localhost") }
  }

  private suspend fun assertRefused(keys: KeyStore, why: String) {
    val (refusal, request) = connectTo(keys)
    assertEquals("unreachable", refusal.code)
    assertTrue(refusal.retryable)
    assertContains(refusal.message.orEmpty(), why)
    assertEquals(null, request, "nothing was said to it")
  }

  /** Why a client cannot connect to a TLS server that answers nothing, and the first line that it sent. */
  private suspend fun connectTo(keys: KeyStore): Pair<SyncException, String?> =
    (serverOf(keys).createServerSocket(0, 1, InetAddress.getLoopbackAddress()) as SSLServerSocket).use { listener ->
      val said = CompletableFuture.supplyAsync {
        listener.accept().use { socket ->
          try {
            socket.getInputStream().bufferedReader().readLine()
          } catch (_: SSLException) {
            null
          }
        }
      }
      val url = "https://localhost:${listener.localPort}"
      val client = open(options("client", connect = false, token = "any", url = url))
      val refusal = assertFailsWith<SyncException> { client.connect() }
      client.close()
      refusal to said.get(PATIENCE.inWholeSeconds, TimeUnit.SECONDS)
    }

  private fun serverOf(keys: KeyStore) = SSLContext.getInstance("TLS").run {
    val managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm())
    managers.init(keys, PASSWORD.toCharArray())
    init(managers.keyManagers, null, null)
    serverSocketFactory
  }

  /** Believes the certificate of these keys, and no other. */
  private fun managerFor(keys: KeyStore): X509TrustManager {
    val believed = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null) }
    believed.setCertificateEntry("server", keys.getCertificate("server"))
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    factory.init(believed)
    return factory.trustManagers.filterIsInstance<X509TrustManager>().first()
  }

  private fun keys(host: String, vararg more: String): KeyStore {
    val file = File.createTempFile("keys", ".p12", folder).apply { delete() }
    val tool = File(System.getProperty("java.home"), "bin/keytool").path
    val command = listOf(
      tool, "-genkeypair", "-alias", "server", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=$host",
      "-ext", "san=dns:$host", "-storetype", "PKCS12", "-keystore", file.path, "-storepass", PASSWORD,
    )
    val making = ProcessBuilder(command + more).redirectErrorStream(true).start()
    val output = making.inputStream.bufferedReader().readText()
    check(making.waitFor() == 0) { output }
    return KeyStore.getInstance("PKCS12").apply { file.inputStream().use { load(it, PASSWORD.toCharArray()) } }
  }
}
