package dev.syncline

import dev.syncline.core.CertificateDistrust
import dev.syncline.core.CertificateJudge
import dev.syncline.core.setCertificateJudge
import java.lang.reflect.InvocationTargetException
import java.security.KeyStore
import java.security.cert.CertificateException
import java.security.cert.CertificateExpiredException
import java.security.cert.CertificateFactory
import java.security.cert.CertificateNotYetValidException
import java.security.cert.X509Certificate
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager

/** Has a trust manager judge servers' certificates: the system's, with what the app's network security config says. */
class SystemTrust(private val manager: X509TrustManager) : CertificateJudge {
  /** Android's rules may differ by host, and only this class of its SDK takes one. It is not there elsewhere. */
  private val byHost: ((Array<X509Certificate>, String) -> Unit)? = try {
    val extensions = Class.forName("android.net.http.X509TrustManagerExtensions")
    val check = extensions.getMethod(
      "checkServerTrusted",
      Array<X509Certificate>::class.java,
      String::class.java,
      String::class.java,
    )
    val instance = extensions.getConstructor(X509TrustManager::class.java).newInstance(manager)
    val call = { chain: Array<X509Certificate>, host: String ->
      check.invoke(instance, chain, KEY_EXCHANGE, host)
      Unit
    }
    call
  } catch (_: ClassNotFoundException) {
    null
  }

  override fun judge(chain: List<ByteArray>, server: String) {
    try {
      val parser = CertificateFactory.getInstance("X.509")
      val certificates = chain.map { parser.generateCertificate(it.inputStream()) as X509Certificate }.toTypedArray()
      byHost?.invoke(certificates, server) ?: manager.checkServerTrusted(certificates, KEY_EXCHANGE)
    } catch (failure: Exception) {
      throw distrust(failure)
    }
  }

  private fun distrust(failure: Exception): CertificateDistrust {
    val causes = generateSequence<Throwable>(failure) { it.cause }.take(CAUSES_MAX).toList()
    val refusal = causes.firstOrNull { it !is InvocationTargetException } ?: failure
    val reason = refusal.message ?: refusal.javaClass.simpleName
    return when {
      causes.any { it is CertificateExpiredException || it is CertificateNotYetValidException } ->
        CertificateDistrust.Expired()
      refusal is CertificateException -> CertificateDistrust.NotTrusted(reason)
      else -> CertificateDistrust.Unavailable(reason)
    }
  }

  companion object {
    /** Says nothing of the certificate; a trust manager only insists on one. */
    private const val KEY_EXCHANGE = "RSA"
    private const val CAUSES_MAX = 16

    private val onAndroid by lazy {
      // Documented so: the only machine of that name.
      if (System.getProperty("java.vm.name") == "Dalvik") setCertificateJudge(SystemTrust(systemManager()))
    }

    /** Before the first connection, any number of times. Elsewhere than on Android, Rust asks the system itself. */
    fun installOnAndroid() = onAndroid

    private fun systemManager(): X509TrustManager {
      val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
      factory.init(null as KeyStore?)
      return factory.trustManagers.filterIsInstance<X509TrustManager>().first()
    }
  }
}
