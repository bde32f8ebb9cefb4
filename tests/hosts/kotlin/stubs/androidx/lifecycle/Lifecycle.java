package androidx.lifecycle;

public abstract class Lifecycle {
  public enum State {
    DESTROYED,
    INITIALIZED,
    CREATED,
    STARTED,
    RESUMED;

    public final boolean isAtLeast(State state) {
      return false;
    }
  }

  public abstract State getCurrentState();

  public abstract void addObserver(LifecycleObserver observer);

  public abstract void removeObserver(LifecycleObserver observer);
}
