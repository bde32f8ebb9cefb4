import Foundation

/// A JSON value, kept apart by type: `JSONSerialization` tells `true` from 1 on some systems only.
enum Json: Equatable, Decodable, Encodable, Sendable {
  case null
  case bool(Bool)
  case number(Double)
  case text(String)
  case array([Json])
  case object([String: Json])

  init(from decoder: Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else if let array = try? value.decode([Json].self) {
      self = .array(array)
    } else {
      self = .object(try value.decode([String: Json].self))
    }
  }

  func encode(to encoder: Encoder) throws {
    var value = encoder.singleValueContainer()
    switch self {
    case .null: try value.encodeNil()
    case .bool(let bool): try value.encode(bool)
    case .number(let number):
      // Whole numbers as such: the core takes no `1.0` for a count.
      if let whole = Int64(exactly: number) { try value.encode(whole) } else { try value.encode(number) }
    case .text(let text): try value.encode(text)
    case .array(let array): try value.encode(array)
    case .object(let object): try value.encode(object)
    }
  }

  static func parse(_ text: String) throws -> Json {
    try JSONDecoder().decode(Json.self, from: Data(text.utf8))
  }

  func encoded() throws -> String {
    String(decoding: try JSONEncoder().encode(self), as: UTF8.self)
  }

  subscript(key: String) -> Json? {
    if case .object(let members) = self { return members[key] }
    return nil
  }

  var string: String? {
    if case .text(let text) = self { return text }
    return nil
  }

  var items: [Json]? {
    if case .array(let items) = self { return items }
    return nil
  }

  /// A name that stands for something, or a wildcard.
  var name: String? { string.flatMap { $0.hasPrefix("$") ? $0 : nil } }
}

/// Whether what came is what a transcript expects: see tests/contract/README.md.
struct Bindings {
  private var names: [String: Json] = [:]

  mutating func bind(_ name: String, _ value: String) {
    names["$\(name)"] = .text(value)
  }

  /// What is sent: every name replaced by what it stands for.
  func fill(_ template: Json) throws -> Json {
    switch template {
    case .array(let items): return .array(try items.map(fill))
    case .object(let members): return .object(try members.mapValues(fill))
    default:
      guard let name = template.name else { return template }
      guard let value = names[name] else { throw Mismatch("\(name) stands for nothing yet") }
      return value
    }
  }

  /// Whether `actual` is what is expected; names that stand for nothing yet are bound if so, and none otherwise.
  mutating func matches(_ expected: Json, _ actual: Json) -> Bool {
    let before = names
    if fits(expected, actual) { return true }
    names = before
    return false
  }

  /// Takes the first of `expected` that fits out of it.
  mutating func takeFitting(_ expected: inout [Json], _ actual: Json) -> Bool {
    for (index, one) in expected.enumerated() where matches(one, actual) {
      expected.remove(at: index)
      return true
    }
    return false
  }

  private mutating func fits(_ expected: Json, _ actual: Json) -> Bool {
    if let name = expected.name { return fitsName(name, actual) }
    switch (expected, actual) {
    case (.array(let expected), .array(let actual)):
      guard expected.count == actual.count else { return false }
      for (one, other) in zip(expected, actual) where !fits(one, other) { return false }
      return true
    case (.object, .array(let actual)):
      guard var left = expected["$unordered"]?.items, left.count == actual.count else { return false }
      for other in actual where !takeFitting(&left, other) { return false }
      return true
    case (.object(var members), .object(let actual)):
      let more = members.removeValue(forKey: "$more") != nil
      guard more || members.count == actual.count else { return false }
      for (key, one) in members {
        guard let other = actual[key], fits(one, other) else { return false }
      }
      return true
    default: return expected == actual
    }
  }

  private mutating func fitsName(_ name: String, _ actual: Json) -> Bool {
    switch name {
    case "$any": return true
    case "$text": return actual.string.map { !$0.isEmpty } ?? false
    case "$number":
      if case .number = actual { return true }
      return false
    default:
      if let bound = names[name] { return bound == actual }
      names[name] = actual
      return true
    }
  }
}

struct Mismatch: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}
