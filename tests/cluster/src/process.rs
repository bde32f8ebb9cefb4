//! One process that listens on a port of loopback which stays its own over its lives.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long a process may take to listen, or to end.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How often it is looked at until then.
pub const LOOK: Duration = Duration::from_millis(20);

/// Ports below those that the system gives to connections and to whoever asks for any: none of these is taken while its process
/// is started, or between two of its lives.
const PORTS: Range<u16> = 20_000..32_000;

/// An address on loopback that nobody listens on.
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it and waits until it listens.
    pub fn start(command: &mut Command, address: SocketAddr) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{name} ended with {status} before it listened");
            }
            assert!(started.elapsed() < PATIENCE, "{name} does not listen");
            std::thread::sleep(LOOK);
        }
        Self { child, name }
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal, and waits until the process has ended. Answers its exit code.
    pub fn signal(&mut self, signal: &str) -> Option<i32> {
        let status =
            Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let signalled = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(signalled.elapsed() < PATIENCE, "{} does not end", self.name);
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
