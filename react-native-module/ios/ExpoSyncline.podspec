require 'json'

package = JSON.parse(File.read(File.join(__dir__, '..', 'package.json')))

Pod::Spec.new do |s|
  s.name = 'ExpoSyncline'
  s.version = package['version']
  s.summary = package['description']
  s.description = package['description']
  s.license = package['license']
  s.author = 'The Syncline authors'
  s.homepage = 'https://syncline.dev'
  s.platforms = { :ios => '16.4' }
  s.swift_version = '5.9'
  s.source = { :path => '.' }
  s.static_framework = true

  s.dependency 'ExpoModulesCore'

  # The generated bindings are among the sources; the core itself is the framework.
  s.source_files = '**/*.swift'
  s.exclude_files = 'Frameworks/**/*'
  s.vendored_frameworks = 'Frameworks/SynclineFFI.xcframework'
  s.frameworks = 'BackgroundTasks', 'Network', 'Security', 'UIKit'
  s.resource_bundles = { 'ExpoSyncline_Privacy' => ['PrivacyInfo.xcprivacy'] }
  s.pod_target_xcconfig = { 'DEFINES_MODULE' => 'YES' }
end
