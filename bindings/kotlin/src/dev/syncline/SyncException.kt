package dev.syncline

import dev.syncline.core.ErrorInfo
import dev.syncline.core.RetryClass
import dev.syncline.core.SynclineException
import kotlinx.coroutines.CancellationException

/**
 * What went wrong.
 *
 * @property code stable, and the same in every language: `unauthorized`, `queue_full`, `offline` …
 * @property retry what helps.
 */
class SyncException(val code: String, val retry: RetryClass, message: String, cause: Throwable? = null) :
  Exception(message, cause) {
  val retryable: Boolean get() = retry != RetryClass.NEVER
}

/** The call's handle was cancelled, which is not a failure: coroutines pass it on quietly. */
class SyncCancelledException : CancellationException("the call was cancelled")

/** Runs a call of the generated binding, and gives its errors their form here. */
internal suspend fun <T> calling(call: suspend () -> T): T =
  try {
    call()
  } catch (failed: SynclineException.Failed) {
    throw SyncException(failed.code, failed.retry, failed.reason, failed)
  } catch (_: SynclineException.Cancelled) {
    throw SyncCancelledException()
  } catch (cancelled: CancellationException) {
    throw cancelled
  } catch (_: IllegalStateException) {
    // The binding's object is freed: `close` was here.
    throw SyncException("closed", RetryClass.NEVER, "the client is closed")
  }

internal fun ErrorInfo.asException() = SyncException(code, retry, message)
