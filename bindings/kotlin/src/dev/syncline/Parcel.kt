package dev.syncline

import dev.syncline.core.Parcel
import java.util.UUID
import kotlinx.serialization.DeserializationStrategy
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationException
import kotlinx.serialization.SerializationStrategy
import kotlinx.serialization.descriptors.SerialDescriptor
import kotlinx.serialization.encoding.Decoder
import kotlinx.serialization.encoding.Encoder
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonDecoder
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.intOrNull
import kotlinx.serialization.modules.SerializersModule
import kotlinx.serialization.serializer

// How JSON with bytes in it crosses: the text names each as {"$attachment": index}. An object that looks so is {"$object": it}.

/** [value] as [argumentOf] takes it. */
inline fun <reified T> parcelOf(value: T): Parcel = pack(serializer<T>(), value)

fun parcelOf(argument: Argument): Parcel = pack(ArgumentSerializer, argument)

fun parcelOf(bytes: ByteArray): Parcel = parcelOf(argumentOf(bytes))

/** What is in it, as a `@Serializable` class or as an [Argument]. */
inline fun <reified T> Parcel.decode(): T = unpack(serializer<T>(), this)

@PublishedApi
internal fun <T> pack(serializer: SerializationStrategy<T>, value: T): Parcel {
  val attachments = Attachments(ArrayList())
  val json = attachments.json.encodeToJsonElement(serializer, value)
  return Parcel(attachments.named(json).toString(), attachments.all)
}

@PublishedApi
internal fun <T> unpack(serializer: DeserializationStrategy<T>, parcel: Parcel): T {
  val attachments = Attachments(parcel.attachments.toMutableList())
  return attachments.json.decodeFromJsonElement(serializer, attachments.marked(Json.parseToJsonElement(parcel.text)))
}

/** The bytes of one parcel. While Kotlin's values are written or read, each is an object that nothing else can look like. */
internal class Attachments(val all: MutableList<ByteArray>) : KSerializer<ByteArray> {
  val json = Json(Document.lenient) {
    serializersModule = SerializersModule { contextual(ByteArray::class, this@Attachments) }
  }

  override val descriptor = SerialDescriptor("dev.syncline.Attachment", JsonObject.serializer().descriptor)

  override fun serialize(encoder: Encoder, value: ByteArray) {
    all.add(value)
    encoder.encodeSerializableValue(JsonObject.serializer(), one(MARK, JsonPrimitive(all.lastIndex)))
  }

  override fun deserialize(decoder: Decoder): ByteArray =
    ((decoder as JsonDecoder).decodeJsonElement() as? JsonObject)?.let(::find)
      ?: throw SerializationException("bytes are expected, and there are none")

  /** The bytes that an object stands for. */
  fun find(json: JsonObject): ByteArray? = (json.only(MARK) as? JsonPrimitive)?.intOrNull?.let(all::get)

  /** What was written, as the core reads it. */
  fun named(json: JsonElement): JsonElement = when (json) {
    is JsonPrimitive -> json
    is JsonArray -> JsonArray(json.map(::named))
    is JsonObject -> {
      val index = json.only(MARK)
      val fields = JsonObject(json.mapValues { named(it.value) })
      when {
        index != null -> one(ATTACHMENT, index)
        RESERVED.any { json.only(it) != null } -> one(OBJECT, fields)
        else -> fields
      }
    }
  }

  /** What the core wrote, as it can be read. */
  fun marked(json: JsonElement): JsonElement = when (json) {
    is JsonPrimitive -> json
    is JsonArray -> JsonArray(json.map(::marked))
    is JsonObject -> {
      val index = (json.only(ATTACHMENT) as? JsonPrimitive)?.intOrNull
      val plain = json.only(OBJECT) as? JsonObject
      when {
        index == null -> JsonObject((plain ?: json).mapValues { marked(it.value) })
        index in all.indices -> one(MARK, JsonPrimitive(index))
        else -> throw SerializationException("the attachment $index is missing")
      }
    }
  }

  companion object {
    private const val ATTACHMENT = "\$attachment"
    private const val OBJECT = "\$object"
    private val RESERVED = listOf(ATTACHMENT, "\$bytes", OBJECT)

    /** No other value has this key. */
    private val MARK = UUID.randomUUID().toString()

    /** Those of the parcel that is being read; none where something else is. */
    @OptIn(ExperimentalSerializationApi::class)
    fun of(module: SerializersModule): Attachments =
      module.getContextual(ByteArray::class) as? Attachments ?: Attachments(ArrayList())

    private fun one(key: String, value: JsonElement) = JsonObject(mapOf(key to value))

    /** The value of the only field, if it is this one. */
    private fun JsonObject.only(key: String): JsonElement? = get(key).takeIf { size == 1 }
  }
}
