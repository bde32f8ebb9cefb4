//! What servers are deployed with: the settings in it are settings, and its times fit together.

use std::path::Path;

use toml::Table;

use crate::support::command;

fn deployed(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
}

/// The settings in force with a file, or with variables alone, as the command prints them.
fn in_force(file: Option<&str>, environment: &[(&str, &str)]) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), "127.0.0.1:0");
    command.envs(environment.iter().copied()).arg("config");
    if let Some(text) = file {
        let path = folder.path().join("server.toml");
        std::fs::write(&path, text).unwrap();
        command.arg("--config").arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

/// The number that follows a name.
fn number(text: &str, name: &str) -> i64 {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn the_kubernetes_manifest_has_a_cluster_whose_nodes_have_the_time_to_drain() {
    let manifest = deployed("kubernetes.yaml");
    let (_, rest) = manifest.split_once("server.toml: |\n").unwrap();
    let lines =
        rest.lines().map_while(|line| if line.is_empty() { Some("") } else { line.strip_prefix("    ") });
    let settings = in_force(Some(&lines.collect::<Vec<_>>().join("\n")), &[]);
    assert_eq!(settings["cluster"]["url"].as_str(), Some("redis://redis:6379"));
    assert!(settings["storage"]["location"].as_str().unwrap().starts_with("postgres://"));
    assert_eq!(settings["door"]["proxies"].as_integer(), Some(1), "its ingress");
    assert!(number(&manifest, "replicas: ") >= 3 && manifest.contains("kind: PodDisruptionBudget"));

    let pause_s = number(&manifest, r#"command: ["sleep", ""#);
    let drain_ms = settings["cluster"]["drain_ms"].as_integer().unwrap();
    let shutdown_ms = settings["shutdown_timeout_ms"].as_integer().unwrap();
    let needed_s = pause_s + (drain_ms + 2 * shutdown_ms) / 1000;
    let given_s = number(&manifest, "terminationGracePeriodSeconds: ");
    assert!(given_s > needed_s, "{given_s} s are given, {needed_s} s are needed");
}

#[test]
fn the_units_variables_and_times_are_settings_of_the_server() {
    let unit = deployed("syncline-server.service");
    let variables: Vec<(&str, &str)> =
        unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('=')).collect();
    assert_eq!(variables.len(), 3);
    let settings = in_force(None, &variables);
    let token_file = settings["operations"]["admin_token_file"].as_str();
    assert_eq!(token_file, Some("%d/admin-token"));
    assert_eq!(settings["jwt_secret_file"].as_str(), Some("%d/jwt-secret"));
    let needed_ms = 2 * settings["shutdown_timeout_ms"].as_integer().unwrap()
        + settings["cluster"]["drain_ms"].as_integer().unwrap();
    assert!(number(&unit, "TimeoutStopSec=") * 1000 > needed_ms);
}

#[test]
fn the_images_variables_are_settings_and_its_compiler_is_the_workspaces() {
    let image = deployed("Dockerfile");
    let (_, rest) = image.split_once("\nENV ").unwrap();
    let mut variables = Vec::new();
    for line in rest.lines() {
        let (name, value) = line.trim().trim_end_matches(" \\").split_once('=').unwrap();
        variables.push((name, value));
        if !line.ends_with('\\') {
            break;
        }
    }
    assert_eq!(variables.len(), 3);
    let settings = in_force(None, &variables);
    assert_eq!(settings["log_format"].as_str(), Some("json"));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let workspace: Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    let version = workspace["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(image.contains(&format!("FROM rust:{version}-")), "not of Rust {version}");
}
