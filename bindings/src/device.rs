//! What the façade wants of the device that it runs on: to keep secrets, and to be woken up. A host carries it out and reads
//! none of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use syncline_protocol::gather::Gather as _;

use once_cell::sync::Lazy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use syncline::store::{EncryptionKey, KEY_BYTES};
use syncline::{ClientConfig, Code, Error};

/// Under which name the device keeps the key of `encryption: "device"`.
const KEY_NAME: &str = "key";

/// The system's part. Called from any thread.
#[uniffi::export(with_foreign)]
pub trait Device: Send + Sync {
    /// Where clients keep their files by default, each in a folder of its own; no backup holds it.
    fn directory(&self) -> Result<String, DeviceError>;
    /// What was kept under the name; nothing where nothing was.
    fn read_secret(&self, name: String) -> Result<Option<Vec<u8>>, DeviceError>;
    /// Returns when it is durable. No other device can read it, and this one only after its first unlock.
    fn keep_secret(&self, name: String, secret: Vec<u8>) -> Result<(), DeviceError>;
    fn forget_secret(&self, name: String) -> Result<(), DeviceError>;
    /// Has `json_background_sync` called about this often, also when the app is not running. Asked anew at each call.
    fn schedule(&self, every_ms: u64) -> Result<(), DeviceError>;
    fn unschedule(&self) -> Result<(), DeviceError>;
}

/// Why the device did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum DeviceError {
    /// The device was not unlocked since it started.
    #[error("the device is locked")]
    Locked,
    #[error("{reason}")]
    Failed { reason: String },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for DeviceError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { reason: error.reason }
    }
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        let code = if error == DeviceError::Locked { Code::Locked } else { Code::Storage };
        Self::new(code, format!("the device: {error}"))
    }
}

static DEVICE: Lazy<Mutex<Option<Arc<dyn Device>>>> = Lazy::new(Mutex::default);

/// Sets the device of this process, before a client is opened.
#[uniffi::export]
pub fn json_set_device(device: Arc<dyn Device>) {
    *DEVICE.lock().unwrap_or_else(PoisonError::into_inner) = Some(device);
}

/// The device, where the host has one.
pub(crate) fn current() -> Option<Arc<dyn Device>> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The device, for an option that cannot do without.
pub(crate) fn needed_for(option: &str) -> Result<Arc<dyn Device>, Error> {
    current().ok_or_else(|| Error::new(Code::Invalid, format!("{option}: this host has no device for it")))
}

/// Options of opening a client that the core does not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[cfg_attr(feature = "contract", ts(optional_fields))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct DeviceOptions {
    /// Who makes and keeps the encryption key, in place of `encryptionKey`.
    pub encryption: Option<Encryption>,
    /// Synchronize in the background, without JavaScript, for as long as clients of this directory are opened with it.
    pub background: Option<BackgroundOptions>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// The device, in its key store; there is one for the app.
    Device,
}

/// When and how long to synchronize in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct BackgroundOptions {
    /// How long at least between two rounds; the system decides.
    #[cfg_attr(feature = "contract", ts(as = "Option<u64>", optional))]
    pub every_ms: u64,
    /// How long a round may take.
    #[cfg_attr(feature = "contract", ts(as = "Option<u64>", optional))]
    pub deadline_ms: u64,
}

impl Default for BackgroundOptions {
    fn default() -> Self {
        Self { every_ms: 15 * 60 * 1000, deadline_ms: 25_000 }
    }
}

/// Reads the options of opening a client: the core's, and the device's among them.
pub(crate) fn read_options(text: &str) -> Result<(ClientConfig, DeviceOptions), Error> {
    let invalid = |error: serde_json::Error| Error::new(Code::Invalid, format!("config: {error}"));
    let mut all: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(invalid)?;
    let own = ["encryption", "background"].into_iter().filter_map(|name| all.remove_entry(name)).gather();
    let config: ClientConfig = read_members(&all).map_err(invalid)?;
    let options: DeviceOptions = read_members(&own).map_err(invalid)?;
    if options.encryption.is_some() && config.encryption_key.is_some() {
        return Err(Error::new(Code::Invalid, "encryption and encryptionKey: only one can be given"));
    }
    Ok((config, options))
}

/// From text, as everything of the façade: a type that is read from two forms is in the library twice.
fn read_members<T: DeserializeOwned>(members: &BTreeMap<String, Box<RawValue>>) -> serde_json::Result<T> {
    serde_json::from_str(&serde_json::to_string(members)?)
}

/// The key that the device keeps; made when there is none yet.
pub(crate) fn encryption_key() -> Result<EncryptionKey, Error> {
    let device = needed_for("encryption")?;
    if let Some(kept) = read_key(&*device)? {
        return Ok(kept);
    }
    let made =
        EncryptionKey::generate().ok_or_else(|| Error::new(Code::Internal, "no randomness for a key"))?;
    device.keep_secret(KEY_NAME.to_owned(), made.as_bytes().to_vec())?;
    // Nothing may be encrypted with a key that is not there the next time.
    match read_key(&*device)? {
        Some(kept) if kept == made => Ok(kept),
        _ => Err(Error::new(Code::Storage, "the device did not keep the key")),
    }
}

fn read_key(device: &dyn Device) -> Result<Option<EncryptionKey>, Error> {
    let Some(bytes) = device.read_secret(KEY_NAME.to_owned())? else { return Ok(None) };
    let bytes: [u8; KEY_BYTES] =
        bytes.try_into().map_err(|_| Error::new(Code::Storage, "what the device kept is no key"))?;
    Ok(Some(EncryptionKey::from_bytes(bytes)))
}

/// Where a directory is, in a form that outlives an update of the app, which may move its folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// Beneath [`Device::directory`].
    Default(PathBuf),
    Elsewhere(PathBuf),
}

impl Place {
    pub(crate) fn of(directory: &std::path::Path, device: &dyn Device) -> Result<Self, Error> {
        let root = PathBuf::from(device.directory()?);
        Ok(match directory.strip_prefix(root) {
            Ok(beneath) => Self::Default(beneath.to_path_buf()),
            Err(_) => Self::Elsewhere(directory.to_path_buf()),
        })
    }

    pub(crate) fn path(&self, device: &dyn Device) -> Result<PathBuf, Error> {
        Ok(match self {
            Self::Default(beneath) => PathBuf::from(device.directory()?).join(beneath),
            Self::Elsewhere(path) => path.clone(),
        })
    }
}
