//! The settings in force, as a file of settings has them, with everything secret masked.

use std::collections::BTreeSet;

use serde::Serialize;
use toml::{Table, Value};

use super::{ConfigError, Loaded};

const MASK: &str = "***";

/// Words in a setting's name that tell of a secret, and endings that tell of a place where one is kept.
const SECRET_WORDS: [&str; 5] = ["secret", "password", "token", "key", "credential"];
const PLACE_ENDINGS: [&str; 4] = ["_file", "_dir", "_url", "_path"];

/// What [`Handle::reload`](crate::Handle::reload) takes over; of the certificate, what its files hold.
const RELOADED: [&str; 2] = ["security.rules", "schemas"];

/// The names of settings that differ, and that a server only reads at its start.
pub fn needs_restart(before: &Loaded, now: &Loaded) -> Result<Vec<String>, ConfigError> {
    let mut names = Vec::new();
    differing(&all(before)?, &all(now)?, "", &mut names);
    Ok(names)
}

fn differing(before: &Table, now: &Table, prefix: &str, names: &mut Vec<String>) {
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for key in keys {
        let name = format!("{prefix}{key}");
        if RELOADED.contains(&name.as_str()) {
            continue;
        }
        match (before.get(key), now.get(key)) {
            (Some(Value::Table(before)), Some(Value::Table(now))) => {
                differing(before, now, &format!("{name}."), names);
            }
            (before, now) if before != now => names.push(name),
            _ => {}
        }
    }
}

fn all(loaded: &Loaded) -> Result<Table, ConfigError> {
    let mut all = table(&loaded.process)?;
    all.extend(table(&loaded.config)?);
    Ok(all)
}

/// The settings in force as TOML.
pub fn effective(loaded: &Loaded) -> Result<String, ConfigError> {
    let mut all = all(loaded)?;
    for (key, value) in &mut all {
        mask(key, value);
    }
    toml::to_string(&all).map_err(|error| unprintable(&error))
}

fn table<T: Serialize>(settings: &T) -> Result<Table, ConfigError> {
    Table::try_from(settings).map_err(|error| unprintable(&error))
}

fn unprintable(error: &toml::ser::Error) -> ConfigError {
    ConfigError::Value { key: String::new(), reason: error.to_string() }
}

fn mask(key: &str, value: &mut Value) {
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(key, value)| mask(key, value)),
        Value::Array(values) => values.iter_mut().for_each(|value| mask(key, value)),
        Value::String(text) if is_secret(key) => MASK.clone_into(text),
        Value::String(text) => {
            if let Some(masked) = without_password(text) {
                *text = masked;
            }
        }
        _ => {}
    }
}

fn is_secret(key: &str) -> bool {
    SECRET_WORDS.iter().any(|word| key.contains(word)) && !PLACE_ENDINGS.iter().any(|end| key.ends_with(end))
}

/// An address whose password is masked, if it has one: `postgres://app:***@host/database`.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (user, _) = rest[..authority_end].rsplit_once('@')?;
    let (name, _) = user.split_once(':')?;
    let after = &rest[user.len()..];
    Some(format!("{scheme}://{name}:{MASK}{after}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn masked(key: &str, value: &str) -> String {
        let mut value = Value::String(value.to_owned());
        mask(key, &mut value);
        value.as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_change_that_needs_a_restart_is_named_and_one_that_is_reloaded_is_not() {
        let before = Loaded::default();
        let mut now = Loaded::default();
        now.config.security.rules.push(crate::access::rules::Rule::default());
        now.config.schemas.insert("todos".to_owned(), crate::validate::SchemaSource::Inline(true.into()));
        assert_eq!(needs_restart(&before, &now).unwrap(), Vec::<String>::new());
        now.config.connection.ping_interval_ms += 1;
        now.config.door.tls_key_file = Some("key.pem".into());
        now.process.log = "debug".to_owned();
        let names = needs_restart(&before, &now).unwrap();
        assert_eq!(names, ["connection.ping_interval_ms", "door.tls_key_file", "log"]);
    }

    #[test]
    fn secrets_are_masked_by_their_name_and_passwords_within_addresses() {
        assert_eq!(masked("webhook_secret", "hunter2"), "***");
        assert_eq!(masked("admin_token_file", "/run/secrets/admin"), "/run/secrets/admin");
        assert_eq!(masked("url", "postgres://app:hunter2@db/app?a=b@c"), "postgres://app:***@db/app?a=b@c");
        assert_eq!(masked("url", "redis://:p@ss@cache:6379"), "redis://:***@cache:6379");
        assert_eq!(masked("url", "postgres://app@db/app"), "postgres://app@db/app");
    }
}
