package android.os

object Build {
  object VERSION {
    const val SDK_INT = 30
  }

  object VERSION_CODES {
    const val O = 26
  }
}
