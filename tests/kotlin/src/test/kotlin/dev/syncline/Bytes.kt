package dev.syncline

import dev.syncline.core.Parcel
import java.util.Base64
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.intOrNull

// Bytes: {"$bytes": base64} in a transcript, beside the text where they cross. See tests/contract/README.md.

/** What a host hands over for JSON of a transcript. */
fun detached(json: JsonElement): Parcel {
  val attachments = ArrayList<ByteArray>()
  val text = mapObjects(json) { members ->
    val bytes = members.only("\$bytes") as? JsonPrimitive
    bytes?.takeIf { it.isString }?.let {
      attachments.add(Base64.getDecoder().decode(it.content))
      JsonObject(mapOf("\$attachment" to JsonPrimitive(attachments.lastIndex)))
    }
  }
  return Parcel(text.toString(), attachments)
}

/** The JSON of a transcript for what the façade handed over. */
fun attached(parcel: Parcel): JsonElement = mapObjects(Json.parseToJsonElement(parcel.text)) { members ->
  val index = members.only("\$attachment") as? JsonPrimitive
  index?.takeIf { !it.isString }?.intOrNull?.let {
    JsonObject(mapOf("\$bytes" to JsonPrimitive(Base64.getEncoder().encodeToString(parcel.attachments[it]))))
  }
}

/** The value of the only member, if it is this one. */
private fun JsonObject.only(key: String) = get(key).takeIf { size == 1 }

/** [json] with each object that [replace] has something for replaced by that; one within `$object` stays one. */
private fun mapObjects(json: JsonElement, replace: (JsonObject) -> JsonObject?): JsonElement {
  fun members(of: JsonObject) = JsonObject(of.mapValues { mapObjects(it.value, replace) })
  return when (json) {
    is JsonArray -> JsonArray(json.map { mapObjects(it, replace) })
    is JsonObject -> {
      val plain = json.only("\$object") as? JsonObject
      replace(json) ?: if (plain == null) members(json) else JsonObject(mapOf("\$object" to members(plain)))
    }
    is JsonPrimitive -> json
  }
}
