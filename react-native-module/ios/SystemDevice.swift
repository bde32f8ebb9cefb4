import Foundation

#if canImport(Syncline)
  import Syncline
#endif

/// What the core wants of iOS.
final class SystemDevice: Device, @unchecked Sendable {
  private static let installed: SystemDevice = {
    let device = SystemDevice()
    jsonSetDevice(device: device)
    return device
  }()

  /// Before a client is opened, any number of times.
  @discardableResult
  static func install() -> SystemDevice { installed }

  /// In no backup, and open once the device was unlocked after it started: a round in the background comes while it is locked.
  func directory() throws -> String {
    try reported {
      let support = try FileManager.default.url(
        for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
      var folder = support.appendingPathComponent("syncline", isDirectory: true)
      try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: true,
        attributes: [.protectionKey: FileProtectionType.completeUntilFirstUserAuthentication])
      var values = URLResourceValues()
      values.isExcludedFromBackup = true
      try folder.setResourceValues(values)
      return folder.path
    }
  }

  func readSecret(name: String) throws -> Data? { try Keychain.read(name) }

  func keepSecret(name: String, secret: Data) throws { try Keychain.keep(name, secret) }

  func forgetSecret(name: String) throws { try Keychain.forget(name) }

  func schedule(everyMs: UInt64) throws {
    try reported { try BackgroundTask.schedule(after: TimeInterval(everyMs) / 1000) }
  }

  func unschedule() throws { BackgroundTask.unschedule() }

  private func reported<Value>(_ work: () throws -> Value) throws -> Value {
    do {
      return try work()
    } catch let error as DeviceError {
      throw error
    } catch {
      throw DeviceError.Failed(reason: "\(error)")
    }
  }
}
