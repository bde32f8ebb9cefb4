import Foundation

/// A document as the app sees it: what the server confirmed, with pending writes applied.
public struct Document: Equatable, Sendable {
  public let id: String
  /// The fields, a JSON object.
  public let fieldsJson: String
  /// Where the room's log confirmed it last, 0 for never.
  public let seq: UInt64
  /// Whether a write of this client is not confirmed yet.
  public let pending: Bool

  init(_ row: Row) {
    id = row.id
    fieldsJson = row.fieldsJson
    seq = row.seq
    pending = row.pending
  }

  /// The fields as a `Decodable` type.
  public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(type, from: Data(fieldsJson.utf8))
  }
}

public struct OrderBy: Encodable, Equatable, Sendable {
  public enum Direction: String, Encodable, Sendable {
    case ascending = "asc"
    case descending = "desc"
  }

  public let path: String
  public let direction: Direction

  public init(_ path: String, _ direction: Direction = .ascending) {
    self.path = path
    self.direction = direction
  }
}

/// Which documents a watch shows.
public struct Query: Equatable, Sendable {
  public var room: String
  public var collection: String
  /// One document, or the whole collection when nil.
  public var id: String?
  /// As in the guide, a JSON object: `{"eq": ["done", false]}`.
  public var filterJson: String?
  public var orderBy: [OrderBy]
  public var limit: UInt32?

  public init(
    room: String, collection: String, id: String? = nil, filterJson: String? = nil, orderBy: [OrderBy] = [],
    limit: UInt32? = nil
  ) {
    self.room = room
    self.collection = collection
    self.id = id
    self.filterJson = filterJson
    self.orderBy = orderBy
    self.limit = limit
  }

  func selectionJson() throws -> String? {
    var parts: [String] = []
    if let filterJson { parts.append("\"filter\":\(filterJson)") }
    if !orderBy.isEmpty { parts.append("\"orderBy\":\(try json(orderBy))") }
    if let limit { parts.append("\"limit\":\(limit)") }
    return parts.isEmpty ? nil : "{\(parts.joined(separator: ","))}"
  }
}

/// What a watch shows at one time.
public struct Results: Sendable {
  public var documents: [Document]
  /// How many documents match, beyond the limit too.
  public var count: UInt64
  /// Whether the room is loaded: tells "empty" from "not here yet".
  public var room: RoomInfo
}

/// The JSON of a value of the app.
func json(_ value: some Encodable) throws -> String {
  String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
}
