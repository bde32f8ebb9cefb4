package dev.syncline.expo

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.security.GeneralSecurityException
import java.security.KeyStore
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

  fun read(name: String): ByteArray? = synchronized(lock) {
    val file = File(folder, name)
    if (!file.exists()) return null
    val sealed = file.readBytes()
    if (sealed.size <= NONCE_BYTES) throw GeneralSecurityException("the file is cut short")
    val cipher = cipher(name) { cipher, key ->
      cipher.init(Cipher.DECRYPT_MODE, key, GCMParameterSpec(TAG_BITS, sealed, 0, NONCE_BYTES))
    }
    cipher.doFinal(sealed, NONCE_BYTES, sealed.size - NONCE_BYTES)
  }

  fun keep(name: String, secret: ByteArray) = synchronized(lock) {
    // The Keystore chooses the nonce.
    val cipher = cipher(name) { cipher, key -> cipher.init(Cipher.ENCRYPT_MODE, key) }
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
  private fun cipher(name: String, init: (Cipher, SecretKey) -> Unit): Cipher {
    val cipher = Cipher.getInstance("AES/GCM/NoPadding")
    init(cipher, key())
    cipher.updateAAD(name.toByteArray())
    return cipher
  }

  private fun key(): SecretKey {
    val store = KeyStore.getInstance(KEY_STORE).apply { load(null) }
    (store.getKey(KEY_ALIAS, null) as SecretKey?)?.let { return it }
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
