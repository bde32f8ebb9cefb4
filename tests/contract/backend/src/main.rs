//! The backend of the transcripts as a process of its own: prints where it listens, and serves until it is ended.

use std::io::Write as _;

use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    syncline_contract_backend::serve(listener).await
}
