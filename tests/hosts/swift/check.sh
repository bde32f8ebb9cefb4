#!/usr/bin/env bash
# check.sh BINDING_DIR WORK_DIR: type-checks react-native-module/ios against the generated binding (Syncline.swift,
# SynclineFFI.h and its module map in BINDING_DIR) and the stubs beside this script; then wrong copies of it, each of which
# must be refused. Run where swiftc is. Each check is a line `host ok: NAME` or `host not ok: NAME`.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
sources="$here/../../../react-native-module/ios"
binding="$1"
work="$2"
status=0

rm -rf "$work"
mkdir -p "$work/modules"
swift=(swiftc -swift-version 5 -suppress-warnings -I "$work/modules" -I "$binding")
for stub in UIKit ExpoModulesCore Network Security BackgroundTasks; do
  "${swift[@]}" -emit-module -parse-as-library -module-name "$stub" -emit-module-path "$work/modules/$stub.swiftmodule" \
    "$here/stubs/$stub.swift"
done
"${swift[@]}" -emit-module -parse-as-library -module-name Syncline \
  -emit-module-path "$work/modules/Syncline.swiftmodule" "$binding/Syncline.swift"

type_check=("${swift[@]}" -typecheck -parse-as-library -module-name ExpoSyncline)

report() {
  echo "host $1: swift: $2"
  [[ "$1" == ok ]] || status=1
}

if "${type_check[@]}" "$sources"/*.swift; then report ok "the module"; else report "not ok" "the module"; fi

# refused NAME FILE SED: the module with one mistake.
refused() {
  local copy="$work/wrong"
  rm -rf "$copy"
  mkdir "$copy"
  cp "$sources"/*.swift "$copy/"
  sed -i "$3" "$copy/$2"
  if cmp -s "$copy/$2" "$sources/$2"; then
    echo "the mistake is not in $2: mend this check" >&2
    report "not ok" "refused: $1"
  elif "${type_check[@]}" "$copy"/*.swift >"$work/wrong.log" 2>&1; then
    report "not ok" "refused: $1"
  elif ! grep -q "/$2:[0-9]*:[0-9]*: error:" "$work/wrong.log"; then
    cat "$work/wrong.log" >&2
    report "not ok" "refused: $1"
  else
    report ok "refused: $1"
  fi
}

refused "an argument of another name" SynclineModule.swift 's/jsonOpen(config: config/jsonOpen(settings: config/'
refused "an argument that cannot cross" SynclineModule.swift 's/attachments: \[Data\])/attachments: [AnyObject])/'
refused "bytes of another type" SynclineModule.swift 's/attachments: \[Data\])/attachments: [String])/'
refused "an event without its name" SynclineModule.swift 's/sendEvent(event, body)/sendEvent(body)/'
refused "a misspelt definition" SynclineModule.swift 's/AsyncFunction("closeAll")/AsyncFuntion("closeAll")/'
refused "a listener of another type" EventRelay.swift 's/func onEvents(client: UInt64/func onEvents(client: Int/'
refused "a secret of another type" SystemDevice.swift 's/readSecret(name: String) throws -> Data?/readSecret(name: String) throws -> String?/'
refused "a part of the device that is missing" SystemDevice.swift 's/func unschedule()/func stop()/'
refused "a task that is never waited for" BackgroundTask.swift 's/await jsonBackgroundSync/jsonBackgroundSync/'
refused "a Keychain call of another shape" Keychain.swift 's/SecItemDelete(item(name) as CFDictionary)/SecItemDelete(name)/'
refused "a subscriber that is none" BackgroundTask.swift 's/SynclineAppDelegateSubscriber: ExpoAppDelegateSubscriber/SynclineAppDelegateSubscriber: NotASubscriber/'
refused "a state that is none" AppStateForwarder.swift 's/as: \.inactive/as: .hidden/'
refused "time in the background that is never given back" BackgroundGrace.swift 's/endBackgroundTask(task)/endBackgroundTask()/'
exit "$status"
