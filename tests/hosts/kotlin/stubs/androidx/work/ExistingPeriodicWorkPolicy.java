package androidx.work;

public enum ExistingPeriodicWorkPolicy {
  KEEP,
  UPDATE,
  CANCEL_AND_REENQUEUE
}
