package androidx.lifecycle;

public class ProcessLifecycleOwner implements LifecycleOwner {
  public static LifecycleOwner get() {
    return null;
  }

  @Override
  public Lifecycle getLifecycle() {
    return null;
  }
}
