package dev.syncline

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.encodeToJsonElement

/** Marks what can be said of a [Patch]. */
@DslMarker
annotation class PatchDsl

/**
 * What an update does, one operation for each path. A path is the names joined by dots; a dot or a backslash within a
 * name is escaped by a backslash.
 */
@PatchDsl
class Patch {
  @PublishedApi
  internal val operations = mutableMapOf<String, JsonElement>()

  /** [value] is a number, a text, a boolean, null, a list, or a `@Serializable` object. */
  inline fun <reified T> set(path: String, value: T) = put(path, "set", Json.encodeToJsonElement(value))

  fun unset(path: String) {
    operations[path] = JsonPrimitive("unset")
  }

  fun increment(path: String, by: Number) = put(path, "increment", JsonPrimitive(by))

  /** Adds those that the array does not have. */
  inline fun <reified T> union(path: String, vararg items: T) = put(path, "union", array(items.asList()))

  inline fun <reified T> remove(path: String, vararg items: T) = put(path, "remove", array(items.asList()))

  inline fun <reified T> append(path: String, vararg items: T) = put(path, "append", array(items.asList()))

  /** The server's time when it takes the write. */
  fun serverTime(path: String) {
    operations[path] = JsonPrimitive("server_time")
  }

  @PublishedApi
  internal fun put(path: String, operation: String, argument: JsonElement) {
    operations[path] = buildJsonObject { put(operation, argument) }
  }

  @PublishedApi
  internal inline fun <reified T> array(items: List<T>): JsonArray =
    JsonArray(items.map { Json.encodeToJsonElement(it) })

  internal fun toJson(): String = JsonObject(operations).toString()
}
