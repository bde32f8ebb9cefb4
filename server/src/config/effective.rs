//! The settings in force, as a file of settings has them, with everything secret masked.

use serde::Serialize;
use toml::{Table, Value};

use super::{ConfigError, Loaded};

const MASK: &str = "***";

/// Words in a setting's name that tell of a secret, and endings that tell of a place where one is kept.
const SECRET_WORDS: [&str; 5] = ["secret", "password", "token", "key", "credential"];
const PLACE_ENDINGS: [&str; 4] = ["_file", "_dir", "_url", "_path"];

/// The settings in force as TOML.
pub fn effective(loaded: &Loaded) -> Result<String, ConfigError> {
    let mut all = table(&loaded.process)?;
    all.extend(table(&loaded.config)?);
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
mod tests {
    use super::*;

    fn masked(key: &str, value: &str) -> String {
        let mut value = Value::String(value.to_owned());
        mask(key, &mut value);
        value.as_str().unwrap_or_default().to_owned()
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
