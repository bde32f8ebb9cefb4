//! The repository itself, held to every rule.
#![allow(clippy::expect_used)]

use std::path::Path;

use syncline_tidy::{Tree, files, layers};

fn assert_none(rule: fn(&Tree) -> Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tree = Tree::read(&root).expect("the repository is readable");
    assert!(tree.find("Cargo.toml").is_some(), "the tree begins at the root");
    let found = rule(&tree);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn pure_code_has_no_clock_thread_socket_or_randomness() {
    assert_none(layers::impurities);
}

#[test]
fn dependencies_point_one_way() {
    assert_none(layers::wrong_directions);
}

#[test]
fn every_dependency_is_used() {
    assert_none(layers::unused_dependencies);
}

#[test]
fn the_native_hosts_know_no_domain_name() {
    assert_none(layers::domain_names_in_hosts);
}

#[test]
fn no_file_is_too_long() {
    assert_none(files::too_long);
}

#[test]
fn nothing_is_left_to_do() {
    assert_none(files::placeholders);
}

#[test]
fn every_rust_file_belongs_to_a_crate() {
    assert_none(files::dead_files);
}

#[test]
fn no_file_names_a_registry_or_a_machine() {
    assert_none(files::unportable);
}

#[test]
fn all_packages_have_the_workspace_version() {
    assert_none(files::other_versions);
}
