//! The `syncline-server` command.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Parser};
use syncline_server::config::RedisUrl;
use syncline_server::{Config, Mode, Server, ServerError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Exit code for a request that cannot be served as it was made.
const EXIT_USAGE: u8 = 2;

/// The Syncline reference server: documents in rooms, synchronised over Socket.IO.
#[derive(Parser)]
#[command(version, group(ArgGroup::new("mode").required(true).multiple(true).args(["dev", "jwt_secret_file"])))]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4800")]
    listen: SocketAddr,
    /// The folder for the data, made when missing
    #[arg(long, value_name = "DIR", default_value = "syncline-data")]
    data: PathBuf,
    /// Where rooms are kept: "sled", in the folder for the data, or in a database, postgres://user:password@host/name
    // Read only after clap, whose errors repeat what they do not take: here is a password.
    #[arg(
        long,
        value_name = "WHERE",
        env = "SYNCLINE_STORAGE",
        hide_env_values = true,
        default_value = "sled"
    )]
    storage: String,
    /// The file with the secret that tokens are signed with (HS256), at least 32 bytes; a newline at its end is
    /// not part of it
    #[arg(long, value_name = "FILE")]
    jwt_secret_file: Option<PathBuf>,
    /// Development: issue tokens to anybody who asks; listens on loopback only
    #[arg(long)]
    dev: bool,
    /// How often to ping clients, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 25_000)]
    ping_interval_ms: u64,
    /// How long a client may take to answer a ping, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20_000)]
    ping_timeout_ms: u64,
    /// How long a client whose connection was lost is shown as away before it is gone, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 15_000)]
    presence_grace_ms: u64,
    /// How long a client that is not heard of stays present at most, in milliseconds; twice the ping interval and the
    /// timeout unless given
    #[arg(long, value_name = "MS")]
    presence_lease_ms: Option<u64>,
    /// How long a client in the background may ask to be kept, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 900_000)]
    presence_background_ms_max: u64,
    /// The Redis server that connects this node with the others of its cluster: redis:// or rediss://
    #[arg(long, value_name = "URL", env = "SYNCLINE_CLUSTER", hide_env_values = true)]
    cluster: Option<String>,
    /// What to log, as `tracing` filter directives
    #[arg(long, env = "SYNCLINE_LOG", default_value = "info")]
    log: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = init_log(&arguments.log) {
        let _ = writeln!(std::io::stderr(), "syncline-server: --log: {error}");
        return ExitCode::from(EXIT_USAGE);
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "syncline-server: {error}");
            if error.is_usage() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let config = config(arguments)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServerError::Serve)?;
    runtime.block_on(async {
        let shutdown = shutdown_signal().map_err(ServerError::Serve)?;
        let development = matches!(config.mode, Mode::Development { .. });
        let server = Server::bind(config).await?;
        if development {
            warn_of_development(server.local_addr());
        }
        let mut stdout = std::io::stdout();
        writeln!(stdout, "listening on http://{}", server.local_addr())
            .and_then(|()| stdout.flush())
            .map_err(ServerError::Serve)?;
        server.run(shutdown).await
    })
}

fn config(arguments: &Arguments) -> Result<Config, ServerError> {
    let secret = arguments.jwt_secret_file.as_deref().map(read_secret).transpose()?;
    let mode = match secret {
        Some(jwt_secret) if !arguments.dev => Mode::Production { jwt_secret },
        jwt_secret => Mode::Development { jwt_secret },
    };
    let mut config = Config::new(arguments.listen, arguments.data.clone(), mode);
    config.location = arguments.storage.parse()?;
    config.connection.ping_interval_ms = arguments.ping_interval_ms;
    config.connection.ping_timeout_ms = arguments.ping_timeout_ms;
    config.presence.grace_ms = arguments.presence_grace_ms;
    config.presence.background_lease_ms_max = arguments.presence_background_ms_max;
    let lease_ms = 2 * arguments.ping_interval_ms + arguments.ping_timeout_ms;
    config.limits.presence_lease_ms = arguments.presence_lease_ms.unwrap_or(lease_ms);
    config.cluster.url = arguments.cluster.clone().map(RedisUrl);
    Ok(config)
}

fn read_secret(path: &Path) -> Result<Vec<u8>, ServerError> {
    let mut secret = std::fs::read(path)
        .map_err(|source| ServerError::SecretUnreadable { path: path.to_owned(), source })?;
    if secret.last() == Some(&b'\n') {
        secret.pop();
        if secret.last() == Some(&b'\r') {
            secret.pop();
        }
    }
    Ok(secret)
}

/// Logs to stderr. socketioxide and engineioxide log packets, tokens among them, below `warn`: those never pass,
/// whatever is asked for.
fn init_log(directives: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let asked = EnvFilter::try_new(directives)?;
    let no_packets = FilterFn::new(|metadata| {
        let carries_packets =
            ["socketioxide", "engineioxide"].iter().any(|name| metadata.target().starts_with(name));
        !carries_packets || *metadata.level() <= LevelFilter::WARN
    });
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(asked.and(no_packets));
    tracing_subscriber::registry().with(layer).init();
    Ok(())
}

/// Says so on stderr, whatever is logged.
fn warn_of_development(address: SocketAddr) {
    let lines = [
        "DEVELOPMENT MODE: anybody who can reach this server gets a token",
        "for any user and any room. Never put real data into it.",
        &format!("tokens: POST http://{address}/dev/token {{\"sub\": \"...\"}}"),
    ];
    let width = lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let edge = format!("+{}+", "-".repeat(width + 2));
    let rows: String = lines.iter().map(|line| format!("| {line:width$} |\n")).collect();
    // Nobody to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "{edge}\n{rows}{edge}");
}

/// Done at SIGTERM or SIGINT.
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
