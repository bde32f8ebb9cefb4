package dev.syncline

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.doubleOrNull

/** Whether what came is what a transcript expects: see tests/contract/README.md. */
class Bindings {
  private var names = mapOf<String, JsonElement>()

  fun bind(name: String, value: String) {
    names = names + ("$$name" to JsonPrimitive(value))
  }

  /** What is sent: every name replaced by what it stands for. */
  fun fill(template: JsonElement): JsonElement = when (template) {
    is JsonArray -> JsonArray(template.map(::fill))
    is JsonObject -> JsonObject(template.mapValues { fill(it.value) })
    is JsonPrimitive -> template.name?.let { names[it] ?: error("$it stands for nothing yet") } ?: template
  }

  /** Whether [actual] is what is expected; names that stand for nothing yet are bound if so, and none otherwise. */
  fun matches(expected: JsonElement, actual: JsonElement): Boolean {
    val before = names
    return fits(expected, actual).also { if (!it) names = before }
  }

  /** Takes the first of [expected] that fits out of it. */
  fun takeFitting(expected: MutableList<JsonElement>, actual: JsonElement): Boolean {
    val at = expected.indexOfFirst { matches(it, actual) }
    if (at >= 0) expected.removeAt(at)
    return at >= 0
  }

  private fun fits(expected: JsonElement, actual: JsonElement): Boolean = when (expected) {
    is JsonPrimitive -> expected.name?.let { fitsName(it, actual) } ?: equal(expected, actual)
    is JsonArray ->
      actual is JsonArray && expected.size == actual.size && expected.zip(actual).all { (one, other) -> fits(one, other) }
    is JsonObject -> when (actual) {
      is JsonArray -> fitsUnordered(expected["\$unordered"] as? JsonArray, actual)
      is JsonObject -> fitsObject(expected, actual)
      is JsonPrimitive -> false
    }
  }

  private fun equal(expected: JsonPrimitive, actual: JsonElement): Boolean {
    if (actual !is JsonPrimitive || expected.isString != actual.isString) return false
    if (expected == actual) return true
    return !expected.isString && expected.doubleOrNull != null && expected.doubleOrNull == actual.doubleOrNull
  }

  private fun fitsName(name: String, actual: JsonElement): Boolean {
    val primitive = actual as? JsonPrimitive
    return when (name) {
      "\$any" -> true
      "\$text" -> primitive != null && primitive.isString && primitive.content.isNotEmpty()
      "\$number" -> primitive != null && !primitive.isString && primitive.doubleOrNull != null
      else -> {
        val bound = names[name]
        if (bound == null) names = names + (name to actual)
        bound == null || bound == actual
      }
    }
  }

  private fun fitsUnordered(expected: JsonArray?, actual: JsonArray): Boolean {
    val left = expected?.toMutableList() ?: return false
    return left.size == actual.size && actual.all { takeFitting(left, it) }
  }

  private fun fitsObject(expected: JsonObject, actual: JsonObject): Boolean {
    val named = expected - "\$more"
    if ("\$more" !in expected && named.size != actual.size) return false
    return named.all { (key, one) -> actual[key]?.let { fits(one, it) } ?: false }
  }

  private val JsonPrimitive.name get() = content.takeIf { isString && it.startsWith("$") }
}
