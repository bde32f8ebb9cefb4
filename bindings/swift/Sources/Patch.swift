import Foundation

/// What an update does, one operation for each path: names joined by dots; a dot or a backslash within a name is escaped
/// by a backslash.
public struct Patch: Sendable {
  private var operations: [String: String] = [:]

  public init() {}

  public mutating func set(_ path: String, _ value: some Encodable) throws {
    operations[path] = "{\"set\":\(try json(value))}"
  }

  public mutating func unset(_ path: String) {
    operations[path] = "\"unset\""
  }

  public mutating func increment(_ path: String, by amount: Int) {
    operations[path] = "{\"increment\":\(amount)}"
  }

  public mutating func increment(_ path: String, by amount: Double) throws {
    operations[path] = "{\"increment\":\(try json(amount))}"
  }

  /// Adds those that the array does not have.
  public mutating func union(_ path: String, _ items: [some Encodable]) throws {
    operations[path] = "{\"union\":\(try json(items))}"
  }

  public mutating func remove(_ path: String, _ items: [some Encodable]) throws {
    operations[path] = "{\"remove\":\(try json(items))}"
  }

  public mutating func append(_ path: String, _ items: [some Encodable]) throws {
    operations[path] = "{\"append\":\(try json(items))}"
  }

  /// The server's time when it takes the write.
  public mutating func serverTime(_ path: String) {
    operations[path] = "\"server_time\""
  }

  func encoded() throws -> String {
    let members = try operations.map { path, operation in "\(try json(path)):\(operation)" }
    return "{\(members.joined(separator: ","))}"
  }
}
