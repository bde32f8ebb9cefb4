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

/// A Redis that keeps nothing over its end.
pub struct Redis {
    process: Option<Process>,
    address: SocketAddr,
    folder: PathBuf,
}

impl Redis {
    pub fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut redis = Self { process: None, address: free_address(), folder: folder.to_path_buf() };
        redis.resume();
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn fail(&mut self) {
        let mut process = self.process.take().expect("Redis runs");
        process.kill();
    }

    pub fn resume(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string(), "--save", ""]);
        command.args(["--appendonly", "no", "--dir"]).arg(&self.folder).stdout(Stdio::null());
        self.process = Some(Process::start(&mut command, self.address));
    }
}
