// swift-tools-version:5.9
// Built in target/swift, where scripts/suites/swift.sh puts the generated binding and bindings/swift beside what is here.
import PackageDescription

let package = Package(
  name: "Syncline",
  products: [.library(name: "Syncline", targets: ["Syncline"])],
  targets: [
    .systemLibrary(name: "SynclineFFI", path: "Sources/SynclineFFI"),
    .target(name: "Syncline", dependencies: ["SynclineFFI"], path: "Sources/Syncline"),
    .executableTarget(name: "FfiContender", dependencies: ["Syncline"], path: "FfiContender"),
    .testTarget(name: "SynclineTests", dependencies: ["Syncline"], path: "Tests/SynclineTests"),
  ]
)
