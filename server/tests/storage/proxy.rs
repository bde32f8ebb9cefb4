//! A connection that breaks where a test wants it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the driver sends to commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// Between a storage and its database.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let armed = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::spawn(carry(near, far, Arc::clone(&armed)));
            }
        });
        Self { port, cut }
    }

    /// Breaks the connection of the next commit once the database has made it, and before anybody hears of it.
    pub(crate) fn cut_after_next_commit(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Whether that is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, cut: Arc<AtomicBool>) {
    let (mut sent, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    // A transaction that commits is told as much before it may be cut.
    loop {
        tokio::select! {
            count = near.read(&mut sent) => {
                let Ok(count @ 1..) = count else { return };
                let commits = sent[..count].windows(COMMIT.len()).any(|window| window == COMMIT);
                if far.write_all(&sent[..count]).await.is_err() {
                    return;
                }
                if commits && cut.swap(false, Ordering::SeqCst) {
                    swallow(&mut far).await;
                    return;
                }
            }
            count = far.read(&mut answered) => {
                let Ok(count @ 1..) = count else { return };
                if near.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads until the database says that it has committed.
async fn swallow(far: &mut TcpStream) {
    let mut all = Vec::new();
    while !all.windows(COMMIT.len()).any(|window| window == COMMIT) {
        let mut part = [0; 4096];
        let count = far.read(&mut part).await.unwrap();
        assert!(count > 0, "the database answers the commit");
        all.extend_from_slice(&part[..count]);
    }
}
