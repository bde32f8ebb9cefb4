package dev.syncline.expo

import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.net.NetworkCapabilities
import android.os.Build
import dev.syncline.core.setNetwork

/** Tells the core about the network that the system would use. */
internal class NetworkForwarder : ConnectivityManager.NetworkCallback() {
  private var connectivity: ConnectivityManager? = null

  /** The default network last heard of; callbacks come one at a time. */
  private var current: Network? = null

  fun start(context: Context) {
    val connectivity = context.getSystemService(ConnectivityManager::class.java) ?: return
    try {
      // Without a network there is no callback until there is one.
      if (connectivity.activeNetwork == null) setNetwork(false, false, "none")
      connectivity.registerDefaultNetworkCallback(this)
      this.connectivity = connectivity
    } catch (refused: RuntimeException) {
      // To an app with too many callbacks, and at times on Android 11. Nobody would tell when there is a network.
      setNetwork(true, false, "unknown")
    }
  }

  fun stop() {
    try {
      connectivity?.unregisterNetworkCallback(this)
    } catch (refused: RuntimeException) {
      // What ends with the module must end all the same.
    }
    connectivity = null
  }

  override fun onAvailable(network: Network) {
    current = network
    // Before Android 8 nothing else is told of a network whose capabilities do not change.
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O) setNetwork(true, false, "unknown")
  }

  override fun onCapabilitiesChanged(network: Network, capabilities: NetworkCapabilities) {
    current = network
    setNetwork(
      capabilities.hasCapability(NetworkCapabilities.NET_CAPABILITY_INTERNET),
      !capabilities.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED),
      kindOf(capabilities),
    )
  }

  override fun onLost(network: Network) {
    // The one before the current one may be reported lost after the switch.
    if (network != current) return
    current = null
    setNetwork(false, false, "none")
  }

  private fun kindOf(capabilities: NetworkCapabilities): String = when {
    capabilities.hasTransport(NetworkCapabilities.TRANSPORT_WIFI) -> "wifi"
    capabilities.hasTransport(NetworkCapabilities.TRANSPORT_CELLULAR) -> "cellular"
    capabilities.hasTransport(NetworkCapabilities.TRANSPORT_ETHERNET) -> "ethernet"
    else -> "unknown"
  }
}
