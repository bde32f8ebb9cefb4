package dev.syncline

import dev.syncline.core.RoomInfo
import dev.syncline.core.Row
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.decodeFromJsonElement
import kotlinx.serialization.json.jsonObject

/** A document as the app sees it: what the server confirmed, with pending writes applied. */
data class Document(
  val id: String,
  val fields: JsonObject,
  /** Where the room's log confirmed it last, 0 for never. */
  val seq: ULong,
  /** Whether a write of this client is not confirmed yet. */
  val pending: Boolean,
) {
  /** The fields as a `@Serializable` class; those that it does not have are passed over. */
  inline fun <reified T> decode(): T = lenient.decodeFromJsonElement(fields)

  companion object {
    @PublishedApi
    internal val lenient = Json { ignoreUnknownKeys = true }
  }
}

internal fun Row.toDocument() = Document(id, Json.parseToJsonElement(fieldsJson).jsonObject, seq, pending)

enum class Direction(internal val spelling: String) { ASCENDING("asc"), DESCENDING("desc") }

data class OrderBy(val path: String, val direction: Direction = Direction.ASCENDING)

/**
 * Which documents a watch shows.
 *
 * @property id one document, or the whole collection when null.
 * @property filter as in the guide: `{"eq": ["done", false]}`.
 */
data class Query(
  val room: String,
  val collection: String,
  val id: String? = null,
  val filter: JsonObject? = null,
  val orderBy: List<OrderBy> = emptyList(),
  val limit: UInt? = null,
) {
  internal fun selectionJson(): String? {
    val selection = buildJsonObject {
      filter?.let { put("filter", it) }
      if (orderBy.isNotEmpty()) put("orderBy", kotlinx.serialization.json.JsonArray(orderBy.map(::key)))
      limit?.let { put("limit", JsonPrimitive(it.toLong())) }
    }
    return selection.takeIf { it.isNotEmpty() }?.toString()
  }

  private fun key(order: OrderBy): JsonElement = buildJsonObject {
    put("path", JsonPrimitive(order.path))
    put("direction", JsonPrimitive(order.direction.spelling))
  }
}

/** What a watch shows at one time. */
data class Results(
  val documents: List<Document>,
  /** How many documents match, beyond the limit too. */
  val count: ULong,
  /** Whether the room is loaded: tells "empty" from "not here yet". */
  val room: RoomInfo,
)
