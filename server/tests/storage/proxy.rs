//! A connection that breaks where a test wants it to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the driver sends to commit, and what a push begins with.
const COMMIT: &[u8] = b"COMMIT\0";
const BEGIN: &[u8] = b"BEGIN ISOLATION LEVEL READ COMMITTED\0";

/// What is done to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It breaks when the database has committed, before anybody hears of it.
    CutAfterCommit,
    /// Nothing more is carried to the database once a push has begun and locked its room.
    HoldAfterBegin,
}

impl Fault {
    fn begins_at(self) -> &'static [u8] {
        match self {
            Self::CutAfterCommit => COMMIT,
            Self::HoldAfterBegin => BEGIN,
        }
    }
}

/// Between a storage and its database.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    next: Arc<Mutex<Option<Fault>>>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(Mutex::new(None));
        let armed = Arc::clone(&next);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::spawn(carry(near, far, Arc::clone(&armed)));
            }
        });
        Self { port, next }
    }

    /// Breaks the connection of the next commit once the database has made it, and before anybody hears of it.
    pub(crate) fn cut_after_next_commit(&self) {
        *self.next.lock().unwrap() = Some(Fault::CutAfterCommit);
    }

    /// Has the next push hang when it holds its room.
    pub(crate) fn hold_next_push(&self) {
        *self.next.lock().unwrap() = Some(Fault::HoldAfterBegin);
    }

    /// Whether what was asked for is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.next.lock().unwrap().is_some()
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, next: Arc<Mutex<Option<Fault>>>) {
    let (mut sent, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut holds = false;
    loop {
        tokio::select! {
            count = near.read(&mut sent), if !holds => {
                let Ok(count @ 1..) = count else { return };
                if far.write_all(&sent[..count]).await.is_err() {
                    return;
                }
                let has = |text: &[u8]| sent[..count].windows(text.len()).any(|window| window == text);
                let fault = next.lock().unwrap().take_if(|fault| has(fault.begins_at()));
                match fault {
                    Some(Fault::CutAfterCommit) => return swallow(&mut far).await,
                    Some(Fault::HoldAfterBegin) => holds = true,
                    None => {}
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
