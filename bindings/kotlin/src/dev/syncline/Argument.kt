package dev.syncline

import kotlinx.serialization.ContextualSerializer
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.KSerializer
import kotlinx.serialization.Serializable
import kotlinx.serialization.builtins.ListSerializer
import kotlinx.serialization.builtins.MapSerializer
import kotlinx.serialization.builtins.serializer
import kotlinx.serialization.encoding.Decoder
import kotlinx.serialization.encoding.Encoder
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonDecoder
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/**
 * One argument of an event, of its answer or of a job: JSON, with bytes anywhere in it. [argumentOf] makes one, [decode]
 * reads it.
 */
@Serializable(with = ArgumentSerializer::class)
sealed interface Argument {
  /** Null, a boolean, a number or a text. */
  data class Scalar(val value: JsonPrimitive) : Argument

  class Bytes(val value: ByteArray) : Argument {
    override fun equals(other: Any?) = other is Bytes && value.contentEquals(other.value)

    override fun hashCode() = value.contentHashCode()

    override fun toString() = "Bytes(${value.size})"
  }

  data class Array(val items: List<Argument>) : Argument

  data class Object(val fields: Map<String, Argument>) : Argument
}

/**
 * [value] is a number, a text, a boolean, null, a list, a map, a [JsonElement], or a `@Serializable` object, in which bytes
 * are a `@Contextual ByteArray`.
 */
inline fun <reified T> argumentOf(value: T): Argument = parcelOf(value).decode()

fun argumentOf(bytes: ByteArray): Argument = Argument.Bytes(bytes)

/** The argument as a `@Serializable` class, in which bytes are a `@Contextual ByteArray`. */
inline fun <reified T> Argument.decode(): T = parcelOf(this).decode()

@OptIn(ExperimentalSerializationApi::class)
internal object ArgumentSerializer : KSerializer<Argument> {
  private val bytes = ContextualSerializer(ByteArray::class)

  override val descriptor = JsonElement.serializer().descriptor

  override fun serialize(encoder: Encoder, value: Argument) = when (value) {
    is Argument.Scalar -> encoder.encodeSerializableValue(JsonPrimitive.serializer(), value.value)
    is Argument.Bytes -> encoder.encodeSerializableValue(bytes, value.value)
    is Argument.Array -> encoder.encodeSerializableValue(ListSerializer(this), value.items)
    is Argument.Object -> encoder.encodeSerializableValue(MapSerializer(String.serializer(), this), value.fields)
  }

  override fun deserialize(decoder: Decoder): Argument =
    read((decoder as JsonDecoder).decodeJsonElement(), Attachments.of(decoder.serializersModule))

  private fun read(json: JsonElement, attachments: Attachments): Argument = when (json) {
    is JsonPrimitive -> Argument.Scalar(json)
    is JsonArray -> Argument.Array(json.map { read(it, attachments) })
    is JsonObject -> attachments.find(json)?.let(Argument::Bytes)
      ?: Argument.Object(json.mapValues { read(it.value, attachments) })
  }
}
