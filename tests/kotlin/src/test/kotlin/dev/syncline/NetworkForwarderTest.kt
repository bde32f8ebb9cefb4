package dev.syncline

import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import dev.syncline.core.State
import dev.syncline.expo.NetworkForwarder
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertEquals

/** What the module does where Android refuses to tell of the network. */
class NetworkForwarderTest : Fixture() {
  private val forwarder = NetworkForwarder()

  @AfterTest
  fun stop() = forwarder.stop()

  @Test
  fun `a client connects where the system does not tell of the network`() = scenario {
    forwarder.start(contextOf(object : ConnectivityManager() {
      override fun registerDefaultNetworkCallback(callback: NetworkCallback) = throw SecurityException("no permission")
    }))
    open("a").connection.until { it.state == State.OPEN }
  }

  @Test
  fun `a module ends where the system has forgotten its callback`() {
    var asked = 0
    forwarder.start(contextOf(object : ConnectivityManager() {
      override val activeNetwork = Network()

      override fun unregisterNetworkCallback(callback: NetworkCallback) {
        asked += 1
        throw IllegalArgumentException("not registered")
      }
    }))
    repeat(2) { forwarder.stop() }
    assertEquals(1, asked)
  }

  private fun contextOf(manager: ConnectivityManager) = object : Context() {
    override fun <T> getSystemService(service: Class<T>): T? = service.cast(manager)
  }
}
