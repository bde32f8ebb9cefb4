//! `connected DIRECTORY URL`: opens the client of a directory, connects it, and tells what the process holds then.

use std::error::Error;

use syncline::engine::io::ConnectionState;
use syncline::{Client, ClientConfig, Command, Reply};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: connected DIRECTORY URL".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut config =
        ClientConfig { directory: Some(directory.into()), auto_connect: false, ..ClientConfig::new(url) };
    config.settings.token_required = false;
    let client = runtime.block_on(Client::open(config, |_| {}))?;
    runtime.block_on(client.execute(Command::Connect))?;
    match runtime.block_on(client.execute(Command::Connection))? {
        Reply::Connection(status) if status.state == ConnectionState::Open => {
            syncline_bench_client::print()?;
        }
        other => return Err(format!("not connected: {other:?}").into()),
    }
    runtime.block_on(client.execute(Command::Close))?;
    Ok(())
}
