//! Where the rooms are, as it is written on a command line.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::sled::SledStorage;
use super::{OnCommit, Storage, StorageError};
use crate::config::Config;

const SLED: &str = "sled";

/// All that is ever shown of a URL.
const SHOWN: &str = "postgres://***";

/// Where the rooms are kept: `sled` or `postgres://user@host/database`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StorageLocation {
    /// In the embedded database, in the server's folder.
    #[default]
    Sled,
    Postgres(DatabaseUrl),
}

/// The URL of a database. It may hold a password, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// What is wrong with a location. It tells nothing of what was given: that may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the storage is neither \"sled\" nor a URL that starts with postgres://")]
pub struct LocationError;

impl StorageLocation {
    /// What kind of storage it is, as `/health` says it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sled => SLED,
            Self::Postgres(_) => "postgres",
        }
    }
}

impl DatabaseUrl {
    #[cfg(feature = "postgres")]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

// Only for those who show settings: the URL stays here.
impl Serialize for StorageLocation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Sled => SLED,
            Self::Postgres(_) => SHOWN,
        })
    }
}

impl FromStr for StorageLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        match text {
            SLED => Ok(Self::Sled),
            _ if is_postgres => Ok(Self::Postgres(DatabaseUrl(text.to_owned()))),
            _ => Err(LocationError),
        }
    }
}

impl<'de> Deserialize<'de> for StorageLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Opens the storage that a server is configured for.
pub async fn open(config: &Config, on_commit: OnCommit) -> Result<Arc<dyn Storage>, StorageError> {
    match &config.storage.location {
        StorageLocation::Sled => {
            let (path, hub) = (&config.data_dir, config.hub.clone());
            let storage = SledStorage::open(path, config.limits, hub, &config.storage, on_commit)?;
            Ok(Arc::new(storage))
        }
        #[cfg(feature = "postgres")]
        StorageLocation::Postgres(url) => {
            Ok(Arc::new(super::postgres::PostgresStorage::open(url, config, on_commit).await?))
        }
        #[cfg(not(feature = "postgres"))]
        StorageLocation::Postgres(_) => Err(StorageError::NotBuiltIn),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_sled_or_a_postgres_url() {
        assert_eq!("sled".parse(), Ok(StorageLocation::Sled));
        for url in ["postgres://a@b/c", "postgresql://a@b/c"] {
            assert!(matches!(url.parse(), Ok(StorageLocation::Postgres(_))));
        }
        for other in ["", "Sled", "mysql://a@b/c", "postgres:a"] {
            assert_eq!(other.parse::<StorageLocation>(), Err(LocationError));
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let location: StorageLocation = "postgres://ann:secret@db/rooms".parse().unwrap();
        assert!(!format!("{location:?}").contains("secret"));
        assert_eq!(serde_json::to_value(&location).unwrap(), "postgres://***");
        let error = "mysql://ann:secret@db/rooms".parse::<StorageLocation>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
