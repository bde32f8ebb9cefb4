package android.net;

public final class NetworkCapabilities {
  public static final int TRANSPORT_CELLULAR = 0;
  public static final int TRANSPORT_WIFI = 1;
  public static final int TRANSPORT_ETHERNET = 3;
  public static final int NET_CAPABILITY_NOT_METERED = 11;
  public static final int NET_CAPABILITY_INTERNET = 12;

  public boolean hasCapability(int capability) {
    return false;
  }

  public boolean hasTransport(int transport) {
    return false;
  }
}
