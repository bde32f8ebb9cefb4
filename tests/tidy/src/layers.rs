//! Who may use what.

use crate::source::{code_only, literals, words};
use crate::{File, Tree};

/// Pure parts: no clock, socket, thread, randomness or async inside, so that a simulation can run them.
const PURE: [&str; 8] = [
    "core/src/engine/",
    "core/src/transport/codec",
    "core/src/transport/engineio",
    "core/src/transport/messagepack",
    "core/src/transport/socketio",
    "core/protocol/src/",
    "server/src/hub",
    "server/src/presence",
];

/// Words that pure code does not hold.
const IMPURE_WORDS: [&str; 5] = ["tokio", "rand", "async", "await", "thread_rng"];

/// Modules of `std` that pure code does not name.
const IMPURE_STD: [&str; 5] = ["thread", "net", "fs", "process", "env"];

/// Calls that read a clock.
const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];

/// Parts of the client that its pure engine stands below.
const ABOVE_ENGINE: [&str; 2] = ["crate::driver", "crate::client"];

/// What the engine does not take from the transport, whose codecs it does use.
const SOCKETS: [&str; 7] =
    ["websocket", "tls", "Socket", "SocketEvent", "TlsOptions", "ConnectRequest", "Roots"];

/// A crate's manifest, and the crates of ours that it must not depend on.
const FORBIDDEN_DEPENDENCIES: [(&str, &[&str]); 4] = [
    ("core/protocol/Cargo.toml", &["syncline", "syncline-ffi", "syncline-server"]),
    ("core/Cargo.toml", &["syncline-ffi", "syncline-server"]),
    ("bindings/Cargo.toml", &["syncline-server"]),
    ("server/Cargo.toml", &["syncline", "syncline-ffi"]),
];

/// Where the native hosts of the Expo module live.
const HOSTS: [&str; 2] = ["react-native-module/ios/", "react-native-module/android/"];

/// What only the core and TypeScript know by name; a host carries it through unread.
const DOMAIN_NAMES: [&str; 32] = [
    "room",
    "rooms",
    "collection",
    "cursor",
    "document",
    "documents",
    "fields",
    "rows",
    "upserted",
    "removed",
    "watch",
    "unwatch",
    "write",
    "writes",
    "clientSeq",
    "clientSeqs",
    "subscribe",
    "unsubscribe",
    "presence",
    "presenceJoin",
    "members",
    "outcome",
    "outcomes",
    "queue",
    "pending",
    "progress",
    "token",
    "setToken",
    "userId",
    "syncNow",
    "retryable",
    "increment",
];

/// Uses of clocks, threads, IO, randomness or async in pure code.
pub fn impurities(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.with_extension(&[".rs"]).filter(|file| starts_with_any(file, &PURE)) {
        let code = code_only(&file.text);
        for (index, line) in code.lines().enumerate() {
            for what in line_impurities(line) {
                found.push(format!("{}:{}: {what} in pure code", file.path, index + 1));
            }
        }
        for module in grouped_std_modules(&code) {
            found.push(format!("{}: std::{module} in pure code", file.path));
        }
    }
    found
}

fn line_impurities(line: &str) -> impl Iterator<Item = String> {
    let named = words(line).filter(|word| IMPURE_WORDS.contains(word)).map(str::to_owned);
    let clocks = CLOCKS.iter().filter(|clock| line.contains(*clock)).map(|clock| (*clock).to_owned());
    let modules = line.split("std::").skip(1).filter_map(|after| {
        let module = words(after).next().filter(|_| !after.starts_with('{'))?;
        IMPURE_STD.contains(&module).then(|| format!("std::{module}"))
    });
    named.chain(clocks).chain(modules)
}

/// Impure modules within `use std::{...}`.
fn grouped_std_modules(code: &str) -> Vec<&str> {
    code.split("std::{")
        .skip(1)
        .filter_map(|after| after.split(';').next())
        .flat_map(words)
        .filter(|word| IMPURE_STD.contains(word))
        .collect()
}

/// Dependencies that point the wrong way, between crates or within the client.
pub fn wrong_directions(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (manifest, forbidden) in FORBIDDEN_DEPENDENCIES {
        let Some(file) = tree.find(manifest) else { continue };
        for name in dependencies(&file.text).filter(|name| forbidden.contains(name)) {
            found.push(format!("{manifest}: depends on {name}"));
        }
    }
    for file in tree.with_extension(&[".rs"]).filter(|file| file.path.starts_with("core/src/engine/")) {
        let code = code_only(&file.text);
        for (index, line) in code.lines().enumerate() {
            for above in ABOVE_ENGINE.iter().filter(|above| line.contains(*above)) {
                found.push(format!("{}:{}: the engine uses {above}", file.path, index + 1));
            }
        }
        let from_transport =
            code.split("crate::transport").skip(1).filter_map(|after| after.split(';').next());
        for word in from_transport.flat_map(words).filter(|word| SOCKETS.contains(word)) {
            found.push(format!("{}: the engine uses {word} of the transport", file.path));
        }
    }
    found
}

/// Dependencies that a crate declares and never names.
pub fn unused_dependencies(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let manifests: Vec<&File> = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml")).collect();
    for manifest in &manifests {
        let Some(folder) = manifest.path.strip_suffix("Cargo.toml") else { continue };
        let nested = |path: &str| {
            manifests.iter().any(|other| {
                let inner = other.path.trim_end_matches("Cargo.toml");
                inner.len() > folder.len() && inner.starts_with(folder) && path.starts_with(inner)
            })
        };
        let sources: Vec<&File> = tree
            .with_extension(&[".rs"])
            .filter(|file| file.path.starts_with(folder) && !nested(&file.path))
            .collect();
        for name in dependencies(&manifest.text) {
            let module = name.replace('-', "_");
            if !sources.iter().any(|file| words(&file.text).any(|word| word == module)) {
                found.push(format!("{}: {name} is not used", manifest.path));
            }
        }
    }
    found
}

/// Domain names within the text of the Swift and Kotlin hosts.
pub fn domain_names_in_hosts(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let hosts = tree.with_extension(&[".swift", ".kt"]).filter(|file| starts_with_any(file, &HOSTS));
    for file in hosts {
        for (line, literal) in literals(&file.text) {
            for word in words(&literal).filter(|word| DOMAIN_NAMES.contains(word)) {
                found.push(format!("{}:{line}: a host names \"{word}\"", file.path));
            }
        }
    }
    found
}

fn starts_with_any(file: &File, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| file.path.starts_with(prefix))
}

/// The names that a manifest's dependency tables declare.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            within = line.trim_end().trim_matches(['[', ']']).ends_with("dependencies");
            return None;
        }
        let name = line.split(['=', '.', ' ']).next()?;
        (within && !name.is_empty() && !name.starts_with('#')).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_the_engine_is_found() {
        let tree = Tree::of(&[
            ("core/src/engine/mod.rs", "// tokio\nlet now = std::time::Instant::now();\nuse std::{fmt, fs};"),
            ("core/src/driver.rs", "tokio::spawn(async {}); std::thread::spawn(f);"),
            ("server/src/hub.rs", "use std::thread;\nasync fn f() {}"),
        ]);
        let expected = [
            "core/src/engine/mod.rs:2: Instant::now in pure code",
            "core/src/engine/mod.rs: std::fs in pure code",
            "server/src/hub.rs:1: std::thread in pure code",
            "server/src/hub.rs:2: async in pure code",
        ];
        assert_eq!(impurities(&tree), expected);
    }

    #[test]
    fn a_dependency_upwards_is_found() {
        let tree = Tree::of(&[
            (
                "server/Cargo.toml",
                "[dependencies]\nsyncline.workspace = true\nsyncline-protocol.workspace = true\n",
            ),
            (
                "core/src/engine/outbox.rs",
                "use crate::transport::{\nPacket, SocketEvent};\nuse crate::driver::Call;",
            ),
        ]);
        let expected = [
            "server/Cargo.toml: depends on syncline",
            "core/src/engine/outbox.rs:3: the engine uses crate::driver",
            "core/src/engine/outbox.rs: the engine uses SocketEvent of the transport",
        ];
        assert_eq!(wrong_directions(&tree), expected);
    }

    #[test]
    fn a_dependency_that_only_a_nested_crate_uses_is_unused() {
        let tree = Tree::of(&[
            ("core/Cargo.toml", "[dependencies]\nserde = \"1\"\nused-here.workspace = true\n"),
            ("core/src/lib.rs", "use used_here::X;"),
            ("core/protocol/Cargo.toml", "[package]\nname = \"p\"\n"),
            ("core/protocol/src/lib.rs", "use serde::Serialize;"),
        ]);
        assert_eq!(unused_dependencies(&tree), ["core/Cargo.toml: serde is not used"]);
    }

    #[test]
    fn a_host_that_reads_a_message_is_found() {
        let swift = "// \"room\"\nlet queue = DispatchQueue(label: \"dev.syncline.network\")\nlet room = event[\"room\"]";
        let tree = Tree::of(&[("react-native-module/ios/Module.swift", swift)]);
        assert_eq!(
            domain_names_in_hosts(&tree),
            ["react-native-module/ios/Module.swift:3: a host names \"room\""]
        );
    }
}
