package dev.syncline

import dev.syncline.core.DeadJob
import dev.syncline.core.EnqueuedJob
import dev.syncline.core.JobCategory
import dev.syncline.core.JobDetails
import dev.syncline.core.JobRequest
import dev.syncline.core.JobResult
import dev.syncline.core.JobTask
import dev.syncline.core.ProcessReport
import dev.syncline.core.QueuedKind
import dev.syncline.core.SynclineClient
import kotlin.time.Duration
import kotlinx.serialization.json.JsonNull

/**
 * Events, requests and functions of the app that are carried out as soon as they can be, also after a restart. What
 * becomes of them is told by [SyncClient.events].
 */
class JobQueue internal constructor(private val core: SynclineClient) {
  /** Returns when the job is on disk. */
  suspend fun enqueue(request: JobRequest): EnqueuedJob = calling { core.enqueue(request) }

  /** Jobs that have not ended, by their numbers, after this one; fewer than there are if they are large. */
  suspend fun list(after: ULong = 0uL): List<JobDetails> = calling { core.jobs(after) }

  /** Jobs that were given up and wait for [retry] or [drop]. */
  suspend fun deadLetters(): List<DeadJob> = calling { core.deadLetters() }

  /** Results that were asked to be kept and are not acknowledged. */
  suspend fun results(): List<JobResult> = calling { core.jobResults() }

  suspend fun acknowledge(job: ULong) = calling { core.acknowledgeJob(job) }

  /** Queues a dead letter again, as it was or doing [task] instead. */
  suspend fun retry(job: ULong, task: JobTask? = null) = calling { core.retryJob(job, task) }

  /** A job that waits does this instead. */
  suspend fun edit(job: ULong, task: JobTask) = calling { core.editJob(job, task) }

  /** Forgets a job that waits, or a dead letter. */
  suspend fun drop(job: ULong) = calling { core.dropJob(job) }

  /** Forgets the jobs of these kinds, of all when null, that are not under way; returns how many. */
  suspend fun clear(kinds: List<QueuedKind>? = null, deadLetters: Boolean = false): ULong =
    calling { core.clearJobs(kinds, deadLetters) }

  /** Tries each job at most once; returns when all that could be tried is. */
  suspend fun process(): ProcessReport = calling { core.processQueue() }

  /** Whether jobs are done without [process], until the client is closed. */
  suspend fun setAutoProcessing(enabled: Boolean) = calling { core.setAutoProcessing(enabled) }

  /** The keys whose handlers the app can run from now on; a `JobLeased` event asks for each run. */
  suspend fun registerHandlers(keys: List<String>) = calling { core.registerHandlers(keys) }

  /** Asks for more time for a handler's job. */
  suspend fun extendLease(job: ULong, lease: ULong) = calling { core.extendLease(job, lease) }

  /** A handler's job is done. */
  suspend fun complete(job: ULong, lease: ULong, result: Argument = Argument.Scalar(JsonNull)) =
    calling { core.completeJob(job, lease, parcelOf(result)) }

  /** A handler's job failed. */
  suspend fun fail(job: ULong, lease: ULong, category: JobCategory, message: String, retryAfter: Duration? = null) =
    calling { core.failJob(job, lease, category, message, retryAfter?.toMilliseconds()) }
}
