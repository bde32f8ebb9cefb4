package dev.syncline.expo

import android.content.Context
import androidx.work.CoroutineWorker
import androidx.work.WorkerParameters
import dev.syncline.core.BackgroundOutcome
import dev.syncline.core.CancelHandle
import dev.syncline.core.jsonBackgroundSync
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.withContext

/** A round in the background, without JavaScript: Android starts the process for it if need be. */
internal class BackgroundWorker(context: Context, parameters: WorkerParameters) : CoroutineWorker(context, parameters) {
  override suspend fun doWork(): Result {
    SystemDevice.install(applicationContext)
    val cancel = CancelHandle()
    // In a scope of its own: when Android stops the work, the core must still close what it opened.
    val round = CoroutineScope(SupervisorJob() + Dispatchers.Default).async { jsonBackgroundSync(cancel) }
    val outcome = try {
      round.await()
    } catch (stopped: CancellationException) {
      cancel.cancel()
      withContext(NonCancellable) { round.await() }
      throw stopped
    }
    // The next round comes by itself, also after this one failed.
    return if (outcome == BackgroundOutcome.INCOMPLETE) Result.failure() else Result.success()
  }
}
