//! A Postgres of a test's own, to stop and start.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use syncline_server::storage::StorageLocation;

pub(crate) const PASSWORD: &str = "a password of the tests";

/// How often another port is tried, when somebody else took the one that was free.
const START_ATTEMPTS: usize = 5;

/// Ended when dropped.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    options: String,
}

impl Cluster {
    /// A cluster that runs, with more settings of `postgresql.conf`; `None`, and a word about it, where there is no
    /// Postgres. Files that a setting names must lie in [`Cluster::folder`], so they are made by `prepare`.
    pub(crate) fn start(options: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let Some(bin) = bin() else {
            let _ = writeln!(std::io::stderr(), "skipped: there is no Postgres on this machine");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        if is_root() {
            succeed(Command::new("chown").args(["-R", "postgres:"]).arg(folder.path()));
        }
        let mut cluster = Self { folder, bin, port: 0, options: options.to_owned() };
        let password_file = format!("--pwfile={}", cluster.folder.path().join("password").display());
        let arguments =
            ["--username=syncline", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"];
        succeed(cluster.command("initdb").args(arguments).arg(password_file));
        let started = (0..START_ATTEMPTS).any(|_| {
            cluster.port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            cluster.try_start()
        });
        assert!(started, "{}", std::fs::read_to_string(cluster.log()).unwrap_or_default());
        Some(cluster)
    }

    /// Starts it again, where it was.
    pub(crate) fn start_again(&self) {
        assert!(self.try_start(), "{}", std::fs::read_to_string(self.log()).unwrap_or_default());
    }

    /// Ends it as a crash would: what is under way is neither finished nor told.
    pub(crate) fn crash(&self) {
        succeed(self.command("pg_ctl").args(["stop", "--mode=immediate", "--silent"]));
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where rooms are in it, with more parameters of the URL.
    pub(crate) fn location(&self, parameters: &str) -> StorageLocation {
        self.location_at(self.port, parameters)
    }

    /// The same through another port, as a proxy has it.
    pub(crate) fn location_at(&self, port: u16, parameters: &str) -> StorageLocation {
        let password = PASSWORD.replace(' ', "%20");
        format!("postgres://syncline:{password}@localhost:{port}/postgres{parameters}").parse().unwrap()
    }

    fn try_start(&self) -> bool {
        let options = format!(
            "-h 127.0.0.1 -p {} -c unix_socket_directories='' -c fsync=off {}",
            self.port, self.options
        );
        let log = format!("--log={}", self.log().display());
        let mut start = self.command("pg_ctl");
        start.args(["start", "--silent", "--wait"]).arg(log).arg(format!("--options={options}"));
        start.status().unwrap().success()
    }

    fn command(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = if is_root() {
            // It refuses to run as root, and its package made a user for it.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env("PGDATA", self.folder.path().join("data")).current_dir(self.folder.path());
        command.stdout(std::process::Stdio::null());
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl").args(["stop", "--mode=immediate", "--silent"]).status();
    }
}

/// The folder of the newest Postgres that Debian's packages brought.
fn bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    found.max()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn succeed(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
