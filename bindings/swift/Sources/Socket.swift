/// The app's own events over the connection. Those of the server come as `message` in `SyncClient.events`. A `nil` namespace
/// is the client's own.
public struct Socket: Sendable {
  let core: SynclineClient

  /// Sends an event, at once or as soon as there is a connection; a `volatile` one at once or never.
  @discardableResult
  public func emit(
    _ event: String, _ args: Argument..., volatile: Bool = false, namespace: String? = nil
  ) async throws -> Emitted {
    let args = try Parcel(args)
    return try await translating {
      try await core.emit(event: event, args: args, volatile: volatile, namespace: namespace)
    }
  }

  /// Returns the arguments of the server's answer.
  public func emitWithAck(
    _ event: String, _ args: Argument..., timeoutMs: UInt64? = nil, namespace: String? = nil
  ) async throws -> [Argument] {
    let args = try Parcel(args)
    return try await cancellable(core) {
      try await $0.emitWithAck(event: event, args: args, timeoutMs: timeoutMs, namespace: namespace)
    }.decode()
  }

  /// Listens to a name, `activity:*` for all that begin so, or `*`. Counted: each needs its `off`.
  public func on(_ event: String, namespace: String? = nil) async throws {
    try await translating { try await core.on(event: event, namespace: namespace) }
  }

  public func off(_ event: String, namespace: String? = nil) async throws {
    try await translating { try await core.off(event: event, namespace: namespace) }
  }

  /// Answers an event of the server, once.
  public func ack(_ token: UInt64, _ args: Argument...) async throws {
    let args = try Parcel(args)
    try await translating { try await core.ack(token: token, args: args) }
  }

  /// Enters a room by an event, again on each connection. Returns whether the server has let the client in; otherwise it
  /// is asked once connected.
  @discardableResult
  public func joinRoom(_ room: String, namespace: String? = nil) async throws -> Bool {
    try await cancellable(core) { try await $0.joinRoom(room: room, namespace: namespace) }
  }

  public func leaveRoom(_ room: String, namespace: String? = nil) async throws {
    try await translating { try await core.leaveRoom(room: room, namespace: namespace) }
  }

  /// Joins a namespace beside the client's own, again on each connection.
  @discardableResult
  public func connectNamespace(_ namespace: String, authJson: String? = nil) async throws -> NamespaceInfo {
    try await cancellable(core) { try await $0.connectNamespace(namespace: namespace, authJson: authJson) }
  }

  public func disconnectNamespace(_ namespace: String) async throws {
    try await translating { try await core.disconnectNamespace(namespace: namespace) }
  }
}
