#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use super::{ConfigError, LogFormat, Sources, effective, load};

/// Settings out of a file, if there is one, the environment and `--set`.
struct Given {
    folder: tempfile::TempDir,
    sources: Sources,
}

fn given(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Given {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("syncline.toml");
    std::fs::write(&path, file).expect("the file is written");
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut sources =
        Sources { file: Some(path), environment: environment.iter().map(owned).collect(), flags: Vec::new() };
    for flag in flags {
        sources.set(flag).expect("an assignment");
    }
    Given { folder, sources }
}

impl Given {
    fn refused(&self) -> String {
        load(&self.sources).expect_err("the settings are refused").to_string()
    }
}

#[test]
fn flags_win_over_the_environment_that_over_the_file_that_over_the_defaults() {
    let file =
        "log = 'debug'\n[connection]\nping_interval_ms = 1\nping_timeout_ms = 2\nconnections_max = 3\n";
    let environment =
        [("SYNCLINE_CONNECTION__PING_TIMEOUT_MS", "20"), ("SYNCLINE_CONNECTION__CONNECTIONS_MAX", "30")];
    let given = given(file, &environment, &["connection.connections_max=300"]);
    let loaded = load(&given.sources).expect("settings");
    let connection = &loaded.config.connection;
    assert_eq!(
        (connection.ping_interval_ms, connection.ping_timeout_ms, connection.connections_max),
        (1, 20, 300)
    );
    assert_eq!((connection.collections_max, loaded.process.log.as_str()), (64, "debug"));
}

#[test]
fn the_environment_has_lists_booleans_and_words() {
    let environment =
        [("SYNCLINE_DEV", "true"), ("SYNCLINE_LOG_FORMAT", "json"), ("SYNCLINE_DATA_DIR", "0123")];
    let loaded = load(&given("", &environment, &[]).sources).expect("settings");
    assert!(loaded.process.dev);
    assert_eq!(loaded.process.log_format, LogFormat::Json);
    assert_eq!(loaded.config.data_dir, PathBuf::from("0123"));
    let loaded = load(&given("", &[], &["listen=[::1]:70"]).sources).expect("settings");
    assert_eq!(loaded.config.listen.to_string(), "[::1]:70");
}

#[test]
fn an_unknown_setting_is_refused_by_its_name_wherever_it_stands() {
    assert!(
        given("[connection]\nping_intervall_ms = 1", &[], &[])
            .refused()
            .contains("connection.ping_intervall_ms")
    );
    assert!(given("[conection]\n", &[], &[]).refused().contains("conection"));
    assert!(given("[limits]\nrooms = 1", &[], &[]).refused().contains("limits.rooms"));
    assert!(given("", &[("SYNCLINE_LIMITS__ROOMS", "1")], &[]).refused().contains("limits.rooms"));
    assert!(given("", &[("SYNCLINE_NO__SUCH", "1")], &[]).refused().contains("SYNCLINE_NO__SUCH"));
    assert!(given("", &[], &["hub.page=1"]).refused().contains("hub.page"));
}

#[test]
fn a_name_without_section_in_the_environment_that_is_no_setting_is_told_and_passed_over() {
    let environment = [("SYNCLINE_PORT_4800_TCP", "tcp://10.0.0.1:4800"), ("HOME", "x")];
    let loaded = load(&given("", &environment, &[]).sources).expect("settings");
    assert_eq!(loaded.ignored, ["SYNCLINE_PORT_4800_TCP"]);
}

#[test]
fn a_value_of_another_type_is_refused_with_the_settings_name() {
    let refused = given("[connection]\nping_interval_ms = 'soon'", &[], &[]).refused();
    assert!(refused.contains("connection.ping_interval_ms"), "{refused}");
    let refused = given("", &[], &["listen=everywhere"]).refused();
    assert!(refused.contains("`listen`"), "{refused}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_refused_with_its_path() {
    let broken = given("[connection\n", &[], &[]);
    assert!(broken.refused().contains("syncline.toml"));
    std::fs::remove_file(broken.folder.path().join("syncline.toml")).expect("the file is removed");
    assert!(matches!(load(&broken.sources), Err(ConfigError::File { .. })));
}

#[test]
fn a_presence_lease_that_nobody_sets_follows_the_pings() {
    let flags = ["connection.ping_interval_ms=1000", "connection.ping_timeout_ms=500"];
    assert_eq!(
        load(&given("", &[], &flags).sources).expect("settings").config.limits.presence_lease_ms,
        2500
    );
    let set = load(&given("[limits]\npresence_lease_ms = 7", &[], &flags).sources).expect("settings");
    assert_eq!(set.config.limits.presence_lease_ms, 7);
}

#[test]
fn what_is_printed_is_a_file_that_gives_the_same_settings() {
    let first = load(&given("[hub]\npage_bytes_max = 77\n", &[], &["jwt_secret_file=/run/secret"]).sources);
    let printed = effective(&first.expect("settings")).expect("printed");
    assert!(printed.contains("page_bytes_max = 77") && printed.contains("jwt_secret_file = \"/run/secret\""));
    let again = load(&given(&printed, &[], &[]).sources).expect("settings");
    assert_eq!(effective(&again).expect("printed"), printed);
}

#[test]
fn every_setting_of_the_page_can_be_given_alone() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/server-settings.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let (_, tables) = page.split_once("## Settings\n").expect("the page has its tables");
    let defaults = effective(&load(&given("", &[], &[]).sources).expect("settings")).expect("printed");
    let mut count = 0;
    for row in tables.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (key, rest) = row.split_once('`').expect("a name");
        let default = rest.split('|').nth(1).expect("a default").trim().trim_matches('`');
        if default == "none" {
            continue;
        }
        let given = given("", &[], &[&format!("{key}={default}")]);
        let loaded = load(&given.sources).unwrap_or_else(|error| panic!("{key} alone: {error}"));
        assert_eq!(effective(&loaded).expect("printed"), defaults, "{key}");
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn of_a_rate_each_part_keeps_its_default_where_only_the_other_is_given() {
    let flags = ["door.handshakes.per_s=7", "door.requests_per_user.burst=8"];
    let door = load(&given("", &[], &flags).sources).expect("settings").config.door;
    assert_eq!((door.handshakes.per_s, door.handshakes.burst), (7, 10_000));
    assert_eq!((door.requests_per_user.per_s, door.requests_per_user.burst), (5_000, 8));
    let refused = given("", &[], &["door.handshakes.per_m=7"]).refused();
    assert!(refused.contains("door.handshakes") && refused.contains("per_m"), "{refused}");
}
