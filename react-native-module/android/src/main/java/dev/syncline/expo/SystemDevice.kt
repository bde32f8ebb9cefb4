package dev.syncline.expo

import android.content.Context
import androidx.work.Constraints
import androidx.work.ExistingPeriodicWorkPolicy
import androidx.work.NetworkType
import androidx.work.PeriodicWorkRequest
import androidx.work.WorkManager
import dev.syncline.SystemTrust
import dev.syncline.core.Device
import dev.syncline.core.DeviceException
import dev.syncline.core.jsonSetDevice
import java.io.File
import java.util.concurrent.TimeUnit

private const val WORK_NAME = "dev.syncline.background"

/** What the core wants of Android. Everything lies where no backup takes it. */
internal class SystemDevice private constructor(private val context: Context) : Device {
  private val secrets = Secrets(File(context.noBackupFilesDir, "syncline-secrets"))

  override fun directory(): String = File(context.noBackupFilesDir, "syncline").path

  override fun readSecret(name: String): ByteArray? = reported { secrets.read(name) }

  override fun keepSecret(name: String, secret: ByteArray) = reported { secrets.keep(name, secret) }

  override fun forgetSecret(name: String) = reported { secrets.forget(name) }

  override fun schedule(everyMs: ULong) = reported {
    val interval = everyMs.coerceAtMost(Long.MAX_VALUE.toULong()).toLong()
    val request = PeriodicWorkRequest.Builder(BackgroundWorker::class.java, interval, TimeUnit.MILLISECONDS)
      .setInitialDelay(interval, TimeUnit.MILLISECONDS)
      .setConstraints(Constraints.Builder().setRequiredNetworkType(NetworkType.CONNECTED).build())
      .build()
    WorkManager.getInstance(context)
      .enqueueUniquePeriodicWork(WORK_NAME, ExistingPeriodicWorkPolicy.UPDATE, request)
    Unit
  }

  override fun unschedule() = reported {
    WorkManager.getInstance(context).cancelUniqueWork(WORK_NAME)
    Unit
  }

  private fun <T> reported(work: () -> T): T =
    try {
      work()
    } catch (failure: Exception) {
      throw DeviceException.Failed(failure.message ?: failure.javaClass.simpleName)
    }

  companion object {
    /** The same for the life of the process. */
    @Volatile
    private var installed: SystemDevice? = null

    /** Before a client is opened, any number of times. */
    fun install(context: Context): SystemDevice = installed ?: synchronized(this) {
      installed ?: SystemDevice(context.applicationContext).also {
        jsonSetDevice(it)
        SystemTrust.installOnAndroid()
        installed = it
      }
    }
  }
}
