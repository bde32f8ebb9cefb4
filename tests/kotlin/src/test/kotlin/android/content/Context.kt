package android.content

/** What of Android the module's `NetworkForwarder` uses, which the suite puts beside the tests. */
abstract class Context {
  abstract fun <T> getSystemService(service: Class<T>): T?
}
