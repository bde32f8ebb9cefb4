package dev.syncline.expo

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import android.util.Log
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.security.KeyStore
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

private const val KEY_STORE = "AndroidKeyStore"
private const val KEY_ALIAS = "dev.syncline.secrets"
private const val KEY_BITS = 256
private const val TAG_BITS = 128
private const val NONCE_BYTES = 12

/** Small secrets in files, each sealed with a key that never leaves the Keystore. */
internal class Secrets(private val folder: File) {
  private val lock = Any()

  /** Null where there is none, and where the key that sealed it is gone for good: nothing opens that file again. */
  fun read(name: String): ByteArray? = synchronized(lock) {
    val file = File(folder, name)
    if (!file.exists()) return null
    val sealed = file.readBytes()
    val key = key()
    if (key == null || sealed.size <= NONCE_BYTES) return lost(file)
    val nonce = GCMParameterSpec(TAG_BITS, sealed, 0, NONCE_BYTES)
    val cipher = cipher(name) { it.init(Cipher.DECRYPT_MODE, key, nonce) }
    try {
      cipher.doFinal(sealed, NONCE_BYTES, sealed.size - NONCE_BYTES)
    } catch (_: AEADBadTagException) {
      lost(file)
    }
  }

  fun keep(name: String, secret: ByteArray) = synchronized(lock) {
    // The Keystore chooses the nonce.
    val key = key() ?: newKey()
    val cipher = cipher(name) { it.init(Cipher.ENCRYPT_MODE, key) }
    val sealed = cipher.iv + cipher.doFinal(secret)
    if (!folder.isDirectory && !folder.mkdirs()) throw IOException("no folder for secrets")
    val fresh = File(folder, "$name.new")
    FileOutputStream(fresh).use {
      it.write(sealed)
      it.fd.sync()
    }
    if (!fresh.renameTo(File(folder, name))) throw IOException("the secret could not be put in place")
  }

  fun forget(name: String) = synchronized(lock) {
    val file = File(folder, name)
    if (file.exists() && !file.delete()) throw IOException("the secret is still there")
  }

  /** Bound to the name: one secret cannot be put in another's place. */
  private fun cipher(name: String, init: (Cipher) -> Unit): Cipher {
    val cipher = Cipher.getInstance("AES/GCM/NoPadding")
    init(cipher)
    cipher.updateAAD(name.toByteArray())
    return cipher
  }

  /** Kept beside, for whoever looks into it. */
  private fun lost(file: File): ByteArray? {
    Log.w("Syncline", "the key that sealed ${file.name} is gone")
    if (!file.renameTo(File(folder, "${file.name}.lost"))) throw IOException("a lost secret could not be set aside")
    return null
  }

  private fun key(): SecretKey? =
    KeyStore.getInstance(KEY_STORE).apply { load(null) }.getKey(KEY_ALIAS, null) as SecretKey?

  private fun newKey(): SecretKey {
    val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
    val spec = KeyGenParameterSpec.Builder(KEY_ALIAS, purposes)
      .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
      .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
      .setKeySize(KEY_BITS)
      .build()
    val generator = KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, KEY_STORE)
    generator.init(spec)
    return generator.generateKey()
  }
}
