// The part of Expo's module API that our module uses, with the signatures of expo-modules-core 57 and no bodies: the
// real one needs Apple's frameworks. Type-checks our module; never run.

import Foundation
import UIKit

open class BaseExpoAppDelegateSubscriber: UIResponder {
  public override required init() { super.init() }
}

public protocol ExpoAppDelegateSubscriberProtocol: UIApplicationDelegate {}

public typealias ExpoAppDelegateSubscriber = BaseExpoAppDelegateSubscriber & ExpoAppDelegateSubscriberProtocol

public protocol AnyModule: AnyObject {
  @ModuleDefinitionBuilder
  func definition() -> ModuleDefinition
}

open class BaseModule {
  public required init() {}

  public func sendEvent(_ eventName: String, _ body: [String: Any?] = [:]) {}
}

public typealias Module = AnyModule & BaseModule

public protocol AnyDefinition {}

public final class ModuleDefinition: AnyDefinition {}

/// What may cross into JavaScript and back.
public protocol AnyArgument {}
extension String: AnyArgument {}
extension Int: AnyArgument {}
extension Double: AnyArgument {}
extension Bool: AnyArgument {}
extension Data: AnyArgument {}
extension Array: AnyArgument where Element: AnyArgument {}

public struct ModuleNameDefinition: AnyDefinition {}
public struct EventsDefinition: AnyDefinition {}
public struct EventListener: AnyDefinition {}
public struct SyncFunctionDefinition: AnyDefinition {}
public struct AsyncFunctionDefinition: AnyDefinition {}

@resultBuilder
public enum ModuleDefinitionBuilder {
  public static func buildBlock(_ definitions: AnyDefinition...) -> ModuleDefinition { ModuleDefinition() }
}

public func Name(_ name: String) -> AnyDefinition { ModuleNameDefinition() }

public func Events(_ names: String...) -> EventsDefinition { EventsDefinition() }

public func OnCreate(@_implicitSelfCapture _ closure: @escaping () -> Void) -> AnyDefinition { EventListener() }

public func OnDestroy(@_implicitSelfCapture _ closure: @escaping () -> Void) -> AnyDefinition { EventListener() }

public func Function<R>(
  _ name: String, @_implicitSelfCapture _ closure: @escaping () throws -> R
) -> SyncFunctionDefinition { SyncFunctionDefinition() }

public func Function<R, A0: AnyArgument>(
  _ name: String, @_implicitSelfCapture _ closure: @escaping (A0) throws -> R
) -> SyncFunctionDefinition { SyncFunctionDefinition() }

public func Function<R, A0: AnyArgument, A1: AnyArgument>(
  _ name: String, @_implicitSelfCapture _ closure: @escaping (A0, A1) throws -> R
) -> SyncFunctionDefinition { SyncFunctionDefinition() }

public func AsyncFunction<R>(
  _ name: String, @_implicitSelfCapture _ closure: @escaping () async throws -> R
) -> AsyncFunctionDefinition { AsyncFunctionDefinition() }

public func AsyncFunction<R, A0: AnyArgument>(
  _ name: String, @_implicitSelfCapture _ closure: @escaping (A0) async throws -> R
) -> AsyncFunctionDefinition { AsyncFunctionDefinition() }

public func AsyncFunction<R, A0: AnyArgument, A1: AnyArgument>(
  _ name: String, @_implicitSelfCapture _ closure: @escaping (A0, A1) async throws -> R
) -> AsyncFunctionDefinition { AsyncFunctionDefinition() }

public func AsyncFunction<R, A0: AnyArgument, A1: AnyArgument, A2: AnyArgument>(
  _ name: String, @_implicitSelfCapture _ closure: @escaping (A0, A1, A2) async throws -> R
) -> AsyncFunctionDefinition { AsyncFunctionDefinition() }
