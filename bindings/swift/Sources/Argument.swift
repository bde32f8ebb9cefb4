import Foundation

/// One argument of an event, of its answer or of a job: JSON, with bytes anywhere in it. It has literals, and stands for
/// itself in `Codable` types.
public enum Argument: Equatable, Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case bytes(Data)
  case array([Argument])
  case object([String: Argument])

  /// Any value; each `Data` in it becomes bytes.
  public init(encoding value: some Encodable) throws {
    self = try recoded(value)
  }

  /// The argument as a type whose `Data` are bytes.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try recoded(self)
  }
}

/// A value, by what it encodes to, as another type.
private func recoded<Value: Decodable>(_ value: some Encodable) throws -> Value {
  let attachments = Attachments()
  let encoder = JSONEncoder()
  encoder.dataEncodingStrategy = .custom(attachments.encode)
  // An older JSONEncoder refuses what is no array or object.
  let encoded = try encoder.encode([value])
  return try attachments.decoder().decode([Value].self, from: encoded)[0]
}

extension Argument: Codable {
  public init(from decoder: Decoder) throws {
    if let bytes = try Attachments.find(decoder) {
      self = .bytes(bytes)
      return
    }
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let int = try? value.decode(Int64.self) {
      self = .int(int)
    } else if let double = try? value.decode(Double.self) {
      self = .double(double)
    } else if let string = try? value.decode(String.self) {
      self = .string(string)
    } else if let array = try? value.decode([Argument].self) {
      self = .array(array)
    } else {
      self = .object(try value.decode([String: Argument].self))
    }
  }

  public func encode(to encoder: Encoder) throws {
    var value = encoder.singleValueContainer()
    switch self {
    case .null: try value.encodeNil()
    case .bool(let bool): try value.encode(bool)
    case .int(let int): try value.encode(int)
    case .double(let double): try value.encode(double)
    case .string(let string): try value.encode(string)
    case .bytes(let bytes): try value.encode(bytes)
    case .array(let array): try value.encode(array)
    case .object(let object): try value.encode(object)
    }
  }
}

extension Argument: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(nilLiteral: ()) { self = .null }

  public init(booleanLiteral value: Bool) { self = .bool(value) }

  public init(integerLiteral value: Int64) { self = .int(value) }

  public init(floatLiteral value: Double) { self = .double(value) }

  public init(stringLiteral value: String) { self = .string(value) }

  public init(arrayLiteral elements: Argument...) { self = .array(elements) }

  public init(dictionaryLiteral elements: (String, Argument)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
  }
}
