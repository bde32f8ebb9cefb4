//! The real server, in a process of its own, with its data in a folder.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use syncline_server::auth::Authenticator;

use crate::listening::Listening;
use crate::scenario::BenchError;

const NAME: &str = "syncline-server";
const SECRET: &[u8] = b"a secret that nothing but a benchmark uses";
const SECRET_FILE: &str = "secret";
const DATA_FOLDER: &str = "data";
/// The rooms that a token is for, and how long it lasts.
const ROOMS: &str = "list:*";
const TOKEN_S: u64 = 24 * 60 * 60;

/// A running server; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Server(Listening);

impl Server {
    /// Starts the binary on a free port of loopback, with its data in `directory`, which exists.
    pub(crate) fn start(binary: &Path, directory: &Path) -> Result<Self, BenchError> {
        let secret = directory.join(SECRET_FILE);
        std::fs::write(&secret, SECRET)?;
        let mut command = Command::new(binary);
        command.args(["--listen", "127.0.0.1:0", "--log", "warn"]);
        command.arg("--data").arg(directory.join(DATA_FOLDER)).arg("--jwt-secret-file").arg(secret);
        Listening::start(NAME, command.stdin(Stdio::null())).map(Self)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.0.process_id()
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    /// A token for every room whose name begins with `list:`.
    pub(crate) fn token(user: &str) -> Result<String, BenchError> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let issued = Authenticator::new(SECRET, 0).issue(
            user,
            vec![ROOMS.to_owned()],
            since_epoch.as_secs() + TOKEN_S,
        );
        issued.map_err(|error| BenchError::failed(NAME, error))
    }
}
