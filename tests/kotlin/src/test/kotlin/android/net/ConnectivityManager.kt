package android.net

class Network

class NetworkCapabilities {
  fun hasCapability(capability: Int): Boolean = capability == NET_CAPABILITY_INTERNET

  fun hasTransport(transport: Int): Boolean = transport == TRANSPORT_WIFI

  companion object {
    const val TRANSPORT_CELLULAR = 0
    const val TRANSPORT_WIFI = 1
    const val TRANSPORT_ETHERNET = 3
    const val NET_CAPABILITY_NOT_METERED = 11
    const val NET_CAPABILITY_INTERNET = 12
  }
}

open class ConnectivityManager {
  open val activeNetwork: Network? = null

  open fun registerDefaultNetworkCallback(callback: NetworkCallback) = Unit

  open fun unregisterNetworkCallback(callback: NetworkCallback) = Unit

  open class NetworkCallback {
    open fun onAvailable(network: Network) = Unit

    open fun onCapabilitiesChanged(network: Network, capabilities: NetworkCapabilities) = Unit

    open fun onLost(network: Network) = Unit
  }
}
