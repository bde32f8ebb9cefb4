//! Postgres and Redis, as Debian packages them.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Process, free_address};

/// The user that Postgres runs as where the tests are root, which it refuses to be.
const POSTGRES_USER: &str = "postgres";

/// A Postgres whose data outlives its process.
pub struct Postgres {
    process: Option<Process>,
    address: SocketAddr,
    data: PathBuf,
}

impl Postgres {
    pub fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let data = folder.join("data");
        let mut init = as_postgres("initdb");
        if let Some((user, group)) = postgres_ids() {
            // It must get to its folder, and own it.
            for parent in folder.ancestors().take_while(|parent| parent.starts_with(std::env::temp_dir())) {
                if parent != std::env::temp_dir() {
                    make_passable(parent);
                }
            }
            std::os::unix::fs::chown(folder, Some(user), Some(group)).unwrap();
        }
        init.arg("--pgdata").arg(&data).args(["--username=syncline", "--auth=trust", "--encoding=UTF8"]);
        let status = init.args(["--locale=C", "--no-sync"]).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "initdb failed");
        let mut postgres = Self { process: None, address: free_address(), data };
        postgres.resume();
        postgres
    }

    pub fn url(&self) -> String {
        format!("postgres://syncline@{}/postgres", self.address)
    }

    /// Ends it at once, as when its machine fails: connections break and transactions are lost.
    pub fn fail(&mut self) {
        let mut process = self.process.take().expect("Postgres runs");
        process.signal("QUIT");
    }

    /// Starts it on what it wrote before.
    pub fn resume(&mut self) {
        let mut command = as_postgres("postgres");
        command.arg("-D").arg(&self.data).args(["-h", "127.0.0.1"]);
        command.args(["-p", &self.address.port().to_string(), "-c", "unix_socket_directories="]);
        // A process that is killed loses nothing that it wrote.
        command.args(["-c", "fsync=off", "-c", "max_connections=200"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Process::start(&mut command, self.address));
    }
}

fn make_passable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
}

/// A program of Postgres, as a user that may run it.
fn as_postgres(program: &str) -> Command {
    let mut command = Command::new(postgres_bin().join(program));
    if let Some((user, group)) = postgres_ids() {
        command.uid(user).gid(group);
    }
    command
}

/// The folder of the newest Postgres that is installed.
fn postgres_bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("the package postgresql is installed");
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    versions.retain(|bin| bin.join("initdb").exists());
    let number = |bin: &PathBuf| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    versions.sort_by_key(number);
    versions.pop().expect("the package postgresql is installed")
}

/// The ids of the user and the group of [`POSTGRES_USER`], where this process is root.
fn postgres_ids() -> Option<(u32, u32)> {
    let id = |flag: &str, user: &[&str]| {
        let output = Command::new("id").arg(flag).args(user).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    (id("-u", &[]) == 0).then(|| (id("-u", &[POSTGRES_USER]), id("-g", &[POSTGRES_USER])))
}

/// Where a Redis with TLS has its key, in its folder.
const KEY_FILE: &str = "key.pem";

/// A Redis that keeps nothing over its end.
pub struct Redis {
    process: Option<Process>,
    address: SocketAddr,
    folder: PathBuf,
    /// The certificate that it shows, if it speaks TLS; its own authority.
    certificate: Option<PathBuf>,
}

impl Redis {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, None)
    }

    /// One that speaks TLS and nothing else.
    pub fn start_with_tls(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = folder.join("certificate.pem");
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(folder.join(KEY_FILE), made.signing_key.serialize_pem()).unwrap();
        Self::start_with(folder, Some(certificate))
    }

    fn start_with(folder: &Path, certificate: Option<PathBuf>) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let (address, folder) = (free_address(), folder.to_path_buf());
        let mut redis = Self { process: None, address, folder, certificate };
        redis.resume();
        redis
    }

    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address)
    }

    /// By whom it is believed.
    pub fn ca_file(&self) -> Option<&Path> {
        self.certificate.as_deref()
    }

    pub fn fail(&mut self) {
        let mut process = self.process.take().expect("Redis runs");
        process.kill();
    }

    pub fn resume(&mut self) {
        let mut command = Command::new("redis-server");
        let port = self.address.port().to_string();
        command.args(["--bind", "127.0.0.1", "--save", ""]);
        match &self.certificate {
            Some(certificate) => {
                command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
                command.arg("--tls-cert-file").arg(certificate).arg("--tls-ca-cert-file").arg(certificate);
                command.arg("--tls-key-file").arg(self.folder.join(KEY_FILE));
            }
            None => drop(command.args(["--port", &port])),
        }
        command.args(["--appendonly", "no", "--dir"]).arg(&self.folder).stdout(Stdio::null());
        self.process = Some(Process::start(&mut command, self.address));
    }
}
