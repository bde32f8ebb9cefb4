# What scripts/release is made of. Each function writes into the folder of the release. Sourced, after
# `set -euo pipefail`; `version` is set before a function is called.
# shellcheck shell=bash
# shellcheck source=scripts/lib/common.sh
[[ -n "${tools-}" ]] || source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly PARSE_CHANGELOG_VERSION=0.6.18
readonly CARGO_CYCLONEDX_VERSION=0.5.9

# Those that others depend on, in the order of their dependencies.
readonly published_crates=(syncline-protocol syncline syncline-ffi syncline-server)

# cargo_tool NAME VERSION ARG...: runs a tool, installed once; not optimised, since it has a second's work to do.
cargo_tool() {
  local dir="$tools/$1-$2" name="$1"
  if [[ ! -x "$dir/bin/$name" ]]; then
    say "installing $name $2"
    cargo install --quiet --locked --debug --root "$dir" --version "$2" "$name" >&2
  fi
  shift 2
  "$dir/bin/$name" "$@"
}

# release_notes FILE [SECTION]: the section of the changelog, of this version unless another is named.
release_notes() {
  cargo_tool parse-changelog "$PARSE_CHANGELOG_VERSION" "$root/CHANGELOG.md" "${2:-$version}" >"$1"
}

# stage_npm STAGE: the npm package, built, but for the libraries and the generated bindings.
stage_npm() {
  local stage="$1" module="$root/react-native-module"
  use_node_22
  npm_install "$module"
  npm --prefix "$module" run --silent build >&2
  rm -rf "$stage"
  mkdir -p "$stage"
  (cd "$module" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$stage")
  # What is ignored in the repository is what the package is for.
  rm "$stage/.gitignore"
  (cd "$module" && cp -r --parents build plugin/build devtools/dist "$stage/")
  cp "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$root/README.md" "$stage/"
}

# pack_npm OUT ANDROID IOS: the npm package with the libraries and the generated bindings in their places.
pack_npm() {
  local out="$1" android="$2" ios="$3" stage="$root/target/npm-package"
  stage_npm "$stage"
  cp -r "$android/jniLibs" "$stage/android/src/main/"
  cp -r "$android/kotlin/." "$stage/android/src/main/java/"
  cp -r "$ios/Frameworks" "$stage/ios/"
  cp "$ios/swift/Syncline.swift" "$stage/ios/"
  cp "$(third_party)" "$stage/"
  # The registry compares it with where the provenance says that the package was built.
  if [[ -n "${GITHUB_REPOSITORY-}" ]]; then
    (cd "$stage" && npm pkg set repository.type=git "repository.url=git+https://github.com/$GITHUB_REPOSITORY.git")
  fi
  local packed="$out/expo-syncline-$version.tgz" wanted
  (cd "$stage" && npm pack --silent --pack-destination "$out" >/dev/null)
  for wanted in build/index.js plugin/build/index.js devtools/dist/index.html ios/Syncline.swift \
    ios/Frameworks/SynclineFFI.xcframework/Info.plist ios/PrivacyInfo.xcprivacy \
    android/src/main/jniLibs/arm64-v8a/libsyncline_ffi.so android/src/main/java/dev/syncline/core/syncline_ffi.kt \
    android/proguard-rules.pro LICENSE-MIT LICENSE-THIRD-PARTY; do
    tar -tzf "$packed" "package/$wanted" >/dev/null || fail "the npm package lacks $wanted"
  done
}

# third_party: the file with the licences of what is linked into the libraries, which go wherever these go.
third_party() {
  local file="$root/target/LICENSE-THIRD-PARTY"
  python3 "$root/scripts/lib/licences.py" "$file"
  echo "$file"
}

# holds ZIP FILE...: ends the script when the archive lacks one of them.
holds() {
  local archive="$1" file
  shift
  for file in "$@"; do
    python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).getinfo(sys.argv[2])' "$archive" "$file" ||
      fail "$archive lacks $file"
  done
}

# pack_maven OUT ANDROID: dev.syncline:syncline-core, laid out as in a Maven repository: for apps without React Native.
pack_maven() {
  local out="$1" android="$2" stage="$root/target/aar"
  local folder="$out/maven/dev/syncline/syncline-core/$version"
  rm -rf "$stage"
  mkdir -p "$stage" "$folder"
  mvn --batch-mode --quiet --file "$root/bindings/kotlin/aar/pom.xml" package \
    "-Dsyncline.sources=$android/kotlin" "-Dsyncline.build=$stage/maven" "-Drevision=$version" >&2
  holds "$stage/maven/classes.jar" dev/syncline/core/SynclineClient.class dev/syncline/SyncClient.class
  python3 "$root/scripts/lib/aar.py" --out "$folder/syncline-core-$version.aar" --classes "$stage/maven/classes.jar" \
    --jni "$android/jniLibs" --rules "$root/react-native-module/android/proguard-rules.pro" \
    --licences "$(third_party)" --pom "$root/bindings/kotlin/aar/artifact.pom" --version "$version"
}

# pack_swift OUT IOS: the framework, and a package that downloads it by checksum.
pack_swift() {
  local out="$1" ios="$2" stage="$root/target/swift-package" archive="SynclineFFI.xcframework.zip" checksum
  python3 "$root/scripts/lib/zip_tree.py" "$out/$archive" "$ios/Frameworks" SynclineFFI.xcframework
  checksum="$(sha256sum "$out/$archive" | cut -d ' ' -f 1)"
  rm -rf "$stage"
  mkdir -p "$stage/Sources/Syncline"
  cp "$ios/swift/Syncline.swift" "$root"/bindings/swift/Sources/*.swift "$stage/Sources/Syncline/"
  cp "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$(third_party)" "$stage/"
  sed -e "s/@VERSION@/$version/" -e "s/@CHECKSUM@/$checksum/" \
    -e "s|@REPOSITORY@|${GITHUB_REPOSITORY:-syncline/syncline}|" "$root/scripts/phone/Package.swift.in" >"$stage/Package.swift"
  python3 "$root/scripts/lib/zip_tree.py" "$out/syncline-swift-$version.zip" "$stage" .
}

# pack_crates OUT: as cargo uploads them, not compiled again.
pack_crates() {
  local options=() crate
  for crate in "${published_crates[@]}"; do
    options+=(-p "$crate")
  done
  cargo package --quiet --locked --no-verify --allow-dirty "${options[@]}" >&2
  mkdir -p "$1/crates"
  for crate in "${published_crates[@]}"; do
    cp "$root/target/package/$crate-$version.crate" "$1/crates/"
  done
}

# write_sbom OUT: CycloneDX, of the library as it is compiled for phones, and of the npm package.
write_sbom() {
  local target name
  for target in aarch64-linux-android aarch64-apple-ios; do
    name="sbom-$target"
    cargo_tool cargo-cyclonedx "$CARGO_CYCLONEDX_VERSION" cyclonedx --quiet --format json --target "$target" \
      --manifest-path "$root/bindings/Cargo.toml" --override-filename "$name" >&2
    mv "$root/bindings/$name.json" "$1/$name.cdx.json"
    # One is written beside each member of the workspace.
    find "$root" -name "$name.json" -not -path "$root/target/*" -delete
  done
  (cd "$root/react-native-module" && npm sbom --sbom-format cyclonedx --omit dev --package-lock-only) >"$1/sbom-npm.cdx.json"
}
