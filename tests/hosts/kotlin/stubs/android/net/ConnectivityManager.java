package android.net;

public class ConnectivityManager {
  public static class NetworkCallback {
    public void onAvailable(Network network) {}

    public void onCapabilitiesChanged(Network network, NetworkCapabilities capabilities) {}

    public void onLost(Network network) {}
  }

  public Network getActiveNetwork() {
    return null;
  }

  public void registerDefaultNetworkCallback(NetworkCallback callback) {}

  public void unregisterNetworkCallback(NetworkCallback callback) {}
}
