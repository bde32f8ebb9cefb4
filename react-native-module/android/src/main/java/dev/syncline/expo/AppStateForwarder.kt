package dev.syncline.expo

import android.os.Handler
import android.os.Looper
import androidx.lifecycle.DefaultLifecycleObserver
import androidx.lifecycle.Lifecycle
import androidx.lifecycle.LifecycleOwner
import androidx.lifecycle.ProcessLifecycleOwner
import dev.syncline.core.AppState
import dev.syncline.core.setAppState

/** Tells the core whether the app is seen: the whole process, not one activity. */
internal class AppStateForwarder : DefaultLifecycleObserver {
  // Lifecycles are used on the main thread only; modules are made and destroyed on others.
  private val main = Handler(Looper.getMainLooper())

  fun start() {
    main.post {
      val lifecycle = ProcessLifecycleOwner.get().lifecycle
      // An observer is told how the app came to where it is, but nothing when it is not seen.
      if (!lifecycle.currentState.isAtLeast(Lifecycle.State.STARTED)) setAppState(AppState.BACKGROUND)
      lifecycle.addObserver(this)
    }
  }

  fun stop() {
    main.post { ProcessLifecycleOwner.get().lifecycle.removeObserver(this) }
  }

  override fun onStart(owner: LifecycleOwner) = setAppState(AppState.INACTIVE)

  override fun onResume(owner: LifecycleOwner) = setAppState(AppState.ACTIVE)

  override fun onPause(owner: LifecycleOwner) = setAppState(AppState.INACTIVE)

  override fun onStop(owner: LifecycleOwner) = setAppState(AppState.BACKGROUND)
}
