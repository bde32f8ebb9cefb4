//! A TCP proxy on loopback that breaks the connections through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::random::Random;

/// Connections at once; more are closed.
const CONNECTIONS_MAX: usize = 64;
const BUFFER_BYTES: usize = 8 << 10;
/// A slow link passes its bytes on in portions, so many in a second.
const PORTIONS_PER_S: u64 = 20;

const PORTAL: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 42\r\nConnection: close\r\n\r\n\
                      <html><body>Please sign in</body></html>\r\n";

/// What happens to connections, to those that are open as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Open ones are closed, new ones at once.
    Down,
    /// Bytes wait, as with a network that is gone and comes back.
    Held(Way),
    /// Each new one ends after a number of bytes below this one, those of both ways added up.
    CutWithin {
        bytes: u64,
    },
    /// Each new one is answered by a page, whatever it asks; open ones are closed.
    Portal,
    /// Bytes in a second, each way.
    Slow {
        bytes_per_s: u64,
    },
}

/// Which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
    Both,
}

impl Fault {
    fn holds(self, way: Way) -> bool {
        matches!(self, Self::Held(held) if held == way || held == Way::Both)
    }

    fn ends(self) -> bool {
        matches!(self, Self::Down | Self::Portal)
    }
}

pub struct Proxy {
    addr: SocketAddr,
    fault: watch::Sender<Fault>,
    accepted: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens for a server, and begins with a fault.
    pub async fn start(server: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (fault, faults) = watch::channel(fault);
        let accepted = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(accept(listener, server, faults, Arc::clone(&accepted)));
        Self { addr, fault, accepted, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How many connections were made.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.fault.send_replace(Fault::Down);
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    faults: watch::Receiver<Fault>,
    accepted: Arc<AtomicU64>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let number = accepted.fetch_add(1, Ordering::Relaxed);
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        let faults = faults.clone();
        tokio::spawn(async move {
            serve(client, server, faults, number).await;
            drop(permit);
        });
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, faults: watch::Receiver<Fault>, number: u64) {
    let fault = *faults.borrow();
    match fault {
        Fault::Down => return,
        Fault::Portal => {
            let mut request = [0; BUFFER_BYTES];
            // Either fails when the client is gone.
            let _read = client.read(&mut request).await;
            let _answered = client.write_all(PORTAL.as_bytes()).await;
            return;
        }
        _ => {}
    }
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    let _hint = client.set_nodelay(true).and_then(|()| upstream.set_nodelay(true));
    let left = match fault {
        Fault::CutWithin { bytes } => Random::new(number).below(bytes),
        _ => u64::MAX,
    };
    let left = AtomicU64::new(left);
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = upstream.split();
    tokio::select! {
        () = pump(client_in, server_out, Way::ToServer, faults.clone(), &left) => {}
        () = pump(server_in, client_out, Way::ToClient, faults, &left) => {}
    }
}

/// Passes bytes on until either end closes, or the fault ends it.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    mut faults: watch::Receiver<Fault>,
    left: &AtomicU64,
) {
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let fault = *faults.borrow_and_update();
        if fault.ends() {
            return;
        }
        let portion = match fault {
            Fault::Slow { bytes_per_s } => usize::try_from(bytes_per_s / PORTIONS_PER_S).unwrap().max(1),
            _ => BUFFER_BYTES,
        };
        let length = tokio::select! {
            changed = faults.changed() => if changed.is_ok() { continue } else { return },
            read = from.read(&mut buffer[..portion.min(BUFFER_BYTES)]), if !fault.holds(way) => read.unwrap_or(0),
        };
        if length == 0 {
            return;
        }
        if matches!(fault, Fault::Slow { .. }) {
            tokio::time::sleep(Duration::from_millis(1000 / PORTIONS_PER_S)).await;
        }
        let allowed = take(left, length);
        if to.write_all(&buffer[..allowed]).await.is_err() || allowed < length {
            return;
        }
    }
}

/// Takes from what is left to pass, and says how much could be taken.
fn take(left: &AtomicU64, length: usize) -> usize {
    let wanted = length as u64;
    let before = left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(wanted)))
        .unwrap_or_else(|left| left);
    usize::try_from(before.min(wanted)).unwrap()
}
