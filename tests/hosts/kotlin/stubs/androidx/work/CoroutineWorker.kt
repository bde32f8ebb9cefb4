package androidx.work

import android.content.Context

abstract class CoroutineWorker(appContext: Context, params: WorkerParameters) : ListenableWorker(appContext, params) {
  abstract suspend fun doWork(): Result
}
