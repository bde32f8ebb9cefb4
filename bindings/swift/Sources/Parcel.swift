import Foundation

// How JSON with bytes in it crosses: the text names each as {"$attachment": index}. An object that looks so is {"$object": it}.

extension Parcel {
  /// Any value; each `Data` in it becomes bytes.
  public init(_ value: some Encodable) throws {
    var attachments: [Data] = []
    let text = try json(Argument(encoding: value).named(&attachments))
    self.init(text: text, attachments: attachments)
  }

  /// What is in it, as a type whose `Data` are bytes.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    let named = try JSONDecoder().decode([Argument].self, from: Data("[\(text)]".utf8))[0]
    return try named.found(in: attachments).decode(type)
  }
}

private let attachmentKey = "$attachment"
private let objectKey = "$object"
private let reservedKeys = [attachmentKey, "$bytes", objectKey]

extension Argument {
  /// As the core reads it, with the bytes beside it.
  fileprivate func named(_ attachments: inout [Data]) -> Argument {
    switch self {
    case .bytes(let bytes):
      attachments.append(bytes)
      return [attachmentKey: .int(Int64(attachments.count - 1))]
    case .array(let items): return .array(items.map { $0.named(&attachments) })
    case .object(let fields):
      let named = Argument.object(fields.mapValues { $0.named(&attachments) })
      return reservedKeys.contains { only($0) != nil } ? [objectKey: named] : named
    default: return self
    }
  }

  /// What the core wrote, with its bytes where they are named.
  fileprivate func found(in attachments: [Data]) throws -> Argument {
    switch self {
    case .array(let items): return .array(try items.map { try $0.found(in: attachments) })
    case .object(let fields):
      if case .int(let index)? = only(attachmentKey) {
        guard let index = Int(exactly: index), attachments.indices.contains(index) else {
          throw SyncError(code: "invalid", retry: .never, message: "the attachment \(index) is missing")
        }
        return .bytes(attachments[index])
      }
      if case .object(let plain)? = only(objectKey) {
        return .object(try plain.mapValues { try $0.found(in: attachments) })
      }
      return .object(try fields.mapValues { try $0.found(in: attachments) })
    default: return self
    }
  }

  /// The value of the only field, if it is this one.
  private func only(_ key: String) -> Argument? {
    guard case .object(let fields) = self, fields.count == 1 else { return nil }
    return fields[key]
  }
}

/// Bytes while Swift's values are written or read: each is an object that nothing else can look like. Held by one thread, for one
/// call of an encoder or a decoder.
final class Attachments: @unchecked Sendable {
  private var all: [Data] = []

  private struct Mark: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init() { stringValue = Self.value }

    init?(stringValue: String) { self.stringValue = stringValue }

    init?(intValue: Int) { nil }

    /// No other value has this key.
    private static let value = UUID().uuidString
  }

  private static let userInfoKey = CodingUserInfoKey(rawValue: "dev.syncline.attachments")

  func encode(_ bytes: Data, to encoder: Encoder) throws {
    all.append(bytes)
    var object = encoder.container(keyedBy: Mark.self)
    try object.encode(all.count - 1, forKey: Mark())
  }

  /// Reads what was written with `encode`.
  func decoder() -> JSONDecoder {
    let decoder = JSONDecoder()
    if let key = Self.userInfoKey { decoder.userInfo[key] = self }
    decoder.dataDecodingStrategy = .custom { decoder in
      if let bytes = try Self.find(decoder) { return bytes }
      let context = DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "there are no bytes")
      throw DecodingError.typeMismatch(Data.self, context)
    }
    return decoder
  }

  /// The bytes that stand where a decoder is.
  static func find(_ decoder: Decoder) throws -> Data? {
    guard let key = userInfoKey, let attachments = decoder.userInfo[key] as? Attachments,
      let object = try? decoder.container(keyedBy: Mark.self), object.contains(Mark())
    else { return nil }
    return attachments.all[try object.decode(Int.self, forKey: Mark())]
  }
}
