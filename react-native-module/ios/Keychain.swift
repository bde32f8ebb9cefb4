import Foundation
import Security

#if canImport(Syncline)
  import Syncline
#endif

/// Small secrets in the Keychain: of this device alone, readable once it was unlocked after it started.
enum Keychain {
  private static let service = "dev.syncline"

  static func read(_ name: String) throws -> Data? {
    var query = item(name)
    query[kSecReturnData as String] = true
    query[kSecMatchLimit as String] = kSecMatchLimitOne
    var found: AnyObject?
    let status = SecItemCopyMatching(query as CFDictionary, &found)
    if status == errSecItemNotFound { return nil }
    try check(status)
    guard let secret = found as? Data else { throw DeviceError.Failed(reason: "the Keychain holds something else") }
    return secret
  }

  static func keep(_ name: String, _ secret: Data) throws {
    let attributes: [String: Any] = [
      kSecValueData as String: secret,
      kSecAttrAccessible as String: kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly,
    ]
    let status = SecItemUpdate(item(name) as CFDictionary, attributes as CFDictionary)
    if status != errSecItemNotFound { return try check(status) }
    try check(SecItemAdd(item(name).merging(attributes) { $1 } as CFDictionary, nil))
  }

  static func forget(_ name: String) throws {
    let status = SecItemDelete(item(name) as CFDictionary)
    if status != errSecItemNotFound { try check(status) }
  }

  private static func item(_ name: String) -> [String: Any] {
    [
      kSecClass as String: kSecClassGenericPassword,
      kSecAttrService as String: service,
      kSecAttrAccount as String: name,
    ]
  }

  private static func check(_ status: OSStatus) throws {
    switch status {
    case errSecSuccess: return
    case errSecInteractionNotAllowed: throw DeviceError.Locked
    default: throw DeviceError.Failed(reason: "the Keychain answered \(status)")
    }
  }
}
