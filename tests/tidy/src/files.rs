//! What a file may hold and where it may lie.

use std::collections::BTreeSet;

use crate::source::{code_only, words};
use crate::{File, Tree};

/// A longer file usually holds two ideas.
const LINES_MAX: usize = 500;

const LINE_LIMITED: [&str; 7] = [".rs", ".ts", ".tsx", ".js", ".mjs", ".swift", ".kt"];

/// How a file begins that nobody writes by hand.
const GENERATED: &str = "// Generated from";

const PLACEHOLDERS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Where packages come from is the installer's setting, not the repository's. Spelled in parts, so that this file
/// passes its own rule.
const REGISTRY_HOSTS: [&str; 7] = [
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi.", "org/simple"),
    concat!("files.", "pythonhosted.org"),
    concat!("repo", ".maven.apache.org"),
];

/// Folders that exist on one machine only.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("C:", "\\Users"),
];

/// The only source of crates that the lock file may name.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Files over the length that a reader can hold.
pub fn too_long(tree: &Tree) -> Vec<String> {
    tree.with_extension(&LINE_LIMITED)
        .filter(|file| !file.text.starts_with(GENERATED))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines, at most {LINES_MAX}", file.path))
        .collect()
}

/// Code that says it is not there yet.
pub fn placeholders(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.with_extension(&[".rs"]) {
        let code = code_only(&file.text);
        for (index, line) in code.lines().enumerate() {
            for placeholder in PLACEHOLDERS.iter().filter(|placeholder| line.contains(*placeholder)) {
                found.push(format!("{}:{}: {placeholder}", file.path, index + 1));
            }
        }
    }
    found
}

/// Rust files that no crate's modules reach.
pub fn dead_files(tree: &Tree) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&File> = crate_roots(tree);
    while let Some(file) = open.pop() {
        if reached.insert(file.path.as_str()) {
            open.extend(modules(file).iter().filter_map(|path| tree.find(path)));
        }
    }
    tree.with_extension(&[".rs"])
        .filter(|file| !reached.contains(file.path.as_str()))
        .map(|file| format!("{}: no module tree reaches it", file.path))
        .collect()
}

/// The files at which cargo starts: its conventional places, and the paths that manifests name.
fn crate_roots(tree: &Tree) -> Vec<&File> {
    let mut roots = Vec::new();
    for manifest in tree.files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let Some(folder) = manifest.path.strip_suffix("Cargo.toml") else { continue };
        let named: Vec<String> = manifest
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'))
            .map(|path| format!("{folder}{path}"))
            .collect();
        roots.extend(tree.with_extension(&[".rs"]).filter(|file| {
            let Some(inner) = file.path.strip_prefix(folder) else { return false };
            is_conventional_root(inner) || named.contains(&file.path)
        }));
    }
    roots
}

fn is_conventional_root(path: &str) -> bool {
    if matches!(path, "src/lib.rs" | "src/main.rs" | "build.rs") {
        return true;
    }
    ["src/bin/", "tests/", "benches/", "examples/"].iter().any(|folder| {
        path.strip_prefix(folder).is_some_and(|inner| !inner.contains('/') || inner.ends_with("/main.rs"))
    })
}

/// The paths at which the modules that a file declares may lie.
fn modules(file: &File) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = name.trim_end_matches(".rs");
    let is_root = matches!(stem, "lib" | "main" | "mod")
        || file.path.contains("/tests/") && !file.path.contains("/src/")
        || file.path.contains("/src/bin/");
    let children = if is_root { folder.to_owned() } else { format!("{folder}/{stem}") };
    let code = code_only(&file.text);
    let mut paths = Vec::new();
    let mut given = None;
    for (line, original) in code.lines().zip(file.text.lines()) {
        let line = line.trim();
        if line.starts_with("#[path") {
            given = original.split('"').nth(1);
        } else if let Some(module) = declared_module(line) {
            match given.take() {
                Some(path) => paths.push(format!("{folder}/{path}")),
                None => {
                    paths.push(format!("{children}/{module}.rs"));
                    paths.push(format!("{children}/{module}/mod.rs"));
                }
            }
        }
    }
    paths
}

/// The name in `mod name;`, whatever its visibility.
fn declared_module(line: &str) -> Option<&str> {
    let declaration = line.strip_suffix(';')?;
    let before = declaration.rsplit_once("mod ")?.0.trim_end();
    let visible =
        before.is_empty() || before.ends_with("pub") || before.ends_with(')') || before.ends_with(']');
    words(declaration).last().filter(|_| visible)
}

/// Registry hosts and one machine's folders.
pub fn unportable(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            for what in REGISTRY_HOSTS.iter().chain(&MACHINE_PATHS).filter(|what| line.contains(*what)) {
                found.push(format!("{}:{number}: {what}", file.path));
            }
            let resolved = file.path.ends_with("package-lock.json") && line.contains("\"resolved\": \"http");
            let elsewhere = file.path.ends_with("Cargo.lock")
                && line.starts_with("source = ")
                && !line.contains(CRATES_IO);
            if resolved || elsewhere {
                found.push(format!("{}:{number}: the lock file names a host", file.path));
            }
        }
    }
    found
}

/// Packages whose version is not the workspace's; private ones may have none.
pub fn other_versions(tree: &Tree) -> Vec<String> {
    let Some(version) = tree.find("Cargo.toml").and_then(workspace_version) else {
        return vec!["Cargo.toml: no workspace version".to_owned()];
    };
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with("package.json")) {
        let Ok(package) = serde_json::from_str::<serde_json::Value>(&file.text) else {
            found.push(format!("{}: not JSON", file.path));
            continue;
        };
        let private = package["private"] == true;
        match package["version"].as_str() {
            Some(other) if other != version => {
                found.push(format!("{}: {other}, the workspace is at {version}", file.path));
            }
            None if !private => found.push(format!("{}: no version", file.path)),
            _ => {}
        }
    }
    for file in tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        // What is never published, and has no version at all, says nothing else.
        let private = file.text.contains("publish = false") && !file.text.contains("\nversion");
        if !file.text.contains("version.workspace = true") && !private {
            found.push(format!("{}: does not take the workspace's version", file.path));
        }
    }
    found
}

fn workspace_version(manifest: &File) -> Option<&str> {
    let package = manifest.text.split("[workspace.package]").nth(1)?;
    package.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_one_line_too_long_is_found() {
        let fits = "\n".repeat(LINES_MAX);
        let over = "\n".repeat(LINES_MAX + 1);
        let generated = format!("{GENERATED} the types{over}");
        let files = [("a.rs", &*fits), ("b.tsx", &over), ("c.md", &over), ("d.ts", &generated)];
        let tree = Tree::of(&files);
        assert_eq!(too_long(&tree), [format!("b.tsx: {} lines, at most {LINES_MAX}", LINES_MAX + 1)]);
    }

    #[test]
    fn a_placeholder_is_found_in_code_only() {
        let tree = Tree::of(&[("a.rs", "// todo!()\nfn f() { unimplemented!() }")]);
        assert_eq!(placeholders(&tree), ["a.rs:2: unimplemented!"]);
    }

    #[test]
    fn a_module_that_nothing_declares_is_dead() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", "[lib]\npath = \"src/root.rs\"\n"),
            ("a/src/root.rs", ""),
            ("b/Cargo.toml", ""),
            ("b/src/lib.rs", "pub(crate) mod used;\n// mod dead;\nmod inline { }\n#[cfg(test)] mod short;"),
            ("b/src/used.rs", "#[cfg(test)]\n#[path = \"used_tests.rs\"]\nmod tests;\nmod inner;"),
            ("b/src/used/inner.rs", ""),
            ("b/src/used_tests.rs", ""),
            ("b/src/short/mod.rs", ""),
            ("b/src/dead.rs", ""),
            ("b/src/bin/tool.rs", ""),
            ("b/tests/all.rs", "mod support;"),
            ("b/tests/support/mod.rs", ""),
        ]);
        assert_eq!(dead_files(&tree), ["b/src/dead.rs: no module tree reaches it"]);
    }

    #[test]
    fn a_host_or_a_home_folder_is_found() {
        let home = format!("see {}me/x", MACHINE_PATHS[1]);
        let lock = "{\n\"resolved\": \"https://mirror.example/x.tgz\" }";
        let git = "source = \"git+https://example.com/x\"";
        let tree = Tree::of(&[("a.md", &home), ("b/package-lock.json", lock), ("Cargo.lock", git)]);
        let expected = [
            format!("a.md:1: {}", MACHINE_PATHS[1]),
            "b/package-lock.json:2: the lock file names a host".to_owned(),
            "Cargo.lock:1: the lock file names a host".to_owned(),
        ];
        assert_eq!(unportable(&tree), expected);
    }

    #[test]
    fn a_package_of_another_version_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace.package]\nversion = \"1.2.3\"\n"),
            ("a/package.json", r#"{"version": "1.2.3"}"#),
            ("b/package.json", r#"{"version": "1.2.4"}"#),
            ("c/package.json", r#"{"private": true}"#),
            ("d/Cargo.toml", "[package]\nversion = \"1.2.3\"\n"),
            ("e/Cargo.toml", "[package]\npublish = false\n"),
        ]);
        let expected = [
            "b/package.json: 1.2.4, the workspace is at 1.2.3",
            "d/Cargo.toml: does not take the workspace's version",
        ];
        assert_eq!(other_versions(&tree), expected);
    }
}
