//! The `syncline-server` command.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
#[cfg(feature = "postgres")]
use syncline_server::config::StorageConfig;
use syncline_server::config::{self, ConfigError, Loaded, LogFormat, ProcessSettings, Sources};
use syncline_server::storage::backup;
#[cfg(feature = "postgres")]
use syncline_server::storage::{StorageLocation, transfer};
use syncline_server::traces::Traces;
use syncline_server::{Config, Handle, Mode, Server, ServerError, probe};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Exit code for a request that cannot be served as it was made.
const EXIT_USAGE: u8 = 2;

/// The Syncline reference server: documents in rooms, synchronised over Socket.IO.
///
/// Every setting has a name, such as `connection.ping_interval_ms`: flags win over the environment
/// (`SYNCLINE_CONNECTION__PING_INTERVAL_MS`), that over the file, that over the defaults. `syncline-server config` prints
/// all that are in force.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the settings in force, secrets masked, as a file of settings
    Config,
    /// Ask the server that these settings are of whether it takes clients; exits with 0 if so
    Ready,
    /// Copy all data into a new file: of a server that runs, or of a folder that none uses
    Backup {
        /// The file, which must not be there yet
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// A server that runs, such as http://127.0.0.1:4800; its admin token is read from `operations.admin_token_file`
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// The authorities, in PEM, that a server at an https:// address is believed by; the system's unless given
        #[arg(long, value_name = "FILE", requires = "server")]
        ca_file: Option<PathBuf>,
    },
    /// Make a new folder of data out of a backup, or put it into a database without rooms
    Restore {
        /// A file that `backup` wrote
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Move all rooms of a folder that no server uses into a database without rooms; clients go on where they were
    #[cfg(feature = "postgres")]
    Migrate {
        /// The folder, which stays as it is
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// The database, `postgres://user@host/name`; that of the settings unless given
        #[arg(long, value_name = "URL")]
        to: Option<StorageLocation>,
    },
}

/// Flags for single settings.
#[derive(Debug, Args)]
struct Settings {
    /// The file with the settings (TOML)
    #[arg(long, value_name = "FILE", env = "SYNCLINE_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Any setting by its name; may be given again
    #[arg(long, value_name = "NAME=VALUE", global = true)]
    set: Vec<String>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:4800]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The folder for the data, made when missing [default: syncline-data]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<String>,
    /// Where rooms are kept: "sled", in the folder for the data, or in a database, `postgres://user@host/name`
    /// [default: sled]
    #[arg(long, value_name = "WHERE", env = "SYNCLINE_STORAGE", hide_env_values = true, global = true)]
    storage: Option<String>,
    /// The Redis server that connects this node with the others of its cluster: redis:// or rediss://
    #[arg(long, value_name = "URL", env = "SYNCLINE_CLUSTER", hide_env_values = true)]
    cluster: Option<String>,
    /// The file with the secret that tokens are signed with (HS256), at least 32 bytes; a newline at its end is
    /// not part of it
    #[arg(long, value_name = "FILE")]
    jwt_secret_file: Option<String>,
    /// Development: issue tokens to anybody who asks; listens on loopback only
    #[arg(long)]
    dev: bool,
    /// How often to ping clients, in milliseconds [default: 25000]
    #[arg(long, value_name = "MS")]
    ping_interval_ms: Option<u64>,
    /// How long a client may take to answer a ping, in milliseconds [default: 20000]
    #[arg(long, value_name = "MS")]
    ping_timeout_ms: Option<u64>,
    /// How long a client whose connection was lost is shown as away before it is gone, in milliseconds [default: 15000]
    #[arg(long, value_name = "MS")]
    presence_grace_ms: Option<u64>,
    /// How long a client that is not heard of stays present at most, in milliseconds; twice the ping interval and the
    /// timeout unless given
    #[arg(long, value_name = "MS")]
    presence_lease_ms: Option<u64>,
    /// How long a client in the background may ask to be kept, in milliseconds [default: 900000]
    #[arg(long, value_name = "MS")]
    presence_background_ms_max: Option<u64>,
    /// What to log, as `tracing` filter directives (`SYNCLINE_LOG`) [default: info]
    #[arg(long)]
    log: Option<String>,
}

impl Settings {
    /// Where all settings come from.
    fn sources(&self) -> Result<Sources, ConfigError> {
        let environment = std::env::vars_os();
        let environment = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut sources =
            Sources { file: self.config.clone(), environment: environment.collect(), flags: Vec::new() };
        for text in &self.set {
            sources.set(text)?;
        }
        let text = |value: Option<u64>| value.map(|value| value.to_string());
        let named = [
            ("listen", self.listen.map(|listen| listen.to_string())),
            ("data_dir", self.data.clone()),
            ("storage.location", self.storage.clone()),
            ("cluster.url", self.cluster.clone()),
            ("jwt_secret_file", self.jwt_secret_file.clone()),
            ("dev", self.dev.then(|| true.to_string())),
            ("connection.ping_interval_ms", text(self.ping_interval_ms)),
            ("connection.ping_timeout_ms", text(self.ping_timeout_ms)),
            ("presence.grace_ms", text(self.presence_grace_ms)),
            ("limits.presence_lease_ms", text(self.presence_lease_ms)),
            ("presence.background_lease_ms_max", text(self.presence_background_ms_max)),
            ("log", self.log.clone()),
        ];
        sources.flags.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Ok(sources)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "syncline-server: {error}");
            if error.is_usage() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let sources = arguments.settings.sources()?;
    let loaded = config::load(&sources)?;
    let (verb, summary) = match &arguments.command {
        None => return serve(loaded, &sources),
        Some(Command::Config) => {
            let settings = config::effective(&loaded)?;
            return std::io::stdout().write_all(settings.as_bytes()).map_err(ServerError::Serve);
        }
        Some(Command::Ready) => {
            let is_tls = loaded.config.door.tls_cert_file.is_some();
            return Ok(runtime()?.block_on(probe::ready(loaded.config.listen, is_tls))?);
        }
        Some(Command::Backup { to, server: None, .. }) => {
            ("backed up", backup::backup(&loaded.config.data_dir, &loaded.config.storage, to)?)
        }
        Some(Command::Backup { to, server: Some(url), ca_file }) => {
            let path = loaded.config.operations.admin_token_file.ok_or(ServerError::NoAdminToken)?;
            let token = config::read_secret(&path)
                .map_err(|source| ServerError::AdminTokenUnreadable { path, source })?;
            ("backed up", runtime()?.block_on(backup::fetch(url, ca_file.as_deref(), &token, to))?)
        }
        #[cfg(feature = "postgres")]
        Some(Command::Restore { from }) if loaded.config.storage.location != StorageLocation::Sled => {
            let Config { storage, postgres, data_dir, .. } = &loaded.config;
            ("restored", runtime()?.block_on(transfer::restore(from, data_dir, storage, postgres))?)
        }
        Some(Command::Restore { from }) => {
            ("restored", backup::restore(from, &loaded.config.data_dir, &loaded.config.storage)?)
        }
        #[cfg(feature = "postgres")]
        Some(Command::Migrate { from, to }) => {
            let Config { storage, postgres, .. } = &loaded.config;
            let location = to.clone().unwrap_or_else(|| storage.location.clone());
            let storage = StorageConfig { location, ..storage.clone() };
            ("moved", runtime()?.block_on(transfer::migrate(from, &storage, postgres))?)
        }
    };
    writeln!(std::io::stdout(), "{verb} {} records, {} bytes", summary.records, summary.bytes)
        .map_err(ServerError::Serve)
}

fn runtime() -> Result<tokio::runtime::Runtime, ServerError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServerError::Serve)
}

fn serve(loaded: Loaded, sources: &Sources) -> Result<(), ServerError> {
    let runtime = runtime()?;
    let traces = Traces::start(&loaded.config.operations, runtime.handle())?;
    init_log(&loaded.process, traces.as_ref())?;
    for name in &loaded.ignored {
        tracing::warn!(name, "a name in the environment is no setting");
    }
    let before = loaded.clone();
    let config = Config { mode: mode(&loaded)?, ..loaded.config };
    let served = runtime.block_on(async {
        let shutdown = shutdown_signal().map_err(ServerError::Serve)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(ServerError::Serve)?;
        let development = matches!(config.mode, Mode::Development { .. });
        let server = Server::bind(config).await?;
        if development {
            warn_of_development(server.local_addr());
        }
        let mut stdout = std::io::stdout();
        writeln!(stdout, "listening on {}://{}", server.scheme(), server.local_addr())
            .and_then(|()| stdout.flush())
            .map_err(ServerError::Serve)?;
        let handle = server.handle();
        let reloading = async {
            while hangup.recv().await.is_some() {
                reload(&before, sources, &handle).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            served = server.run(shutdown) => served,
            never = reloading => never,
        }
    });
    if let Some(traces) = traces {
        traces.end();
    }
    served
}

/// Reads the settings again, and takes over what can be taken over.
async fn reload(before: &Loaded, sources: &Sources, handle: &Handle) {
    let reloaded = async {
        let now = config::load(sources)?;
        let unchanged = config::needs_restart(before, &now)?;
        handle.reload(now.config).await?;
        Ok::<_, ServerError>(unchanged)
    };
    match reloaded.await {
        Ok(names) => {
            tracing::info!("rules, schemas and the certificate were read anew");
            if !names.is_empty() {
                tracing::warn!(settings = names.join(", "), "these have changed, and need a restart");
            }
        }
        Err(error) => tracing::error!(%error, "nothing is taken over from the new settings"),
    }
}

fn mode(loaded: &Loaded) -> Result<Mode, ServerError> {
    let Loaded { process, config, .. } = loaded;
    let has_public_keys = !config.auth.public_key_files.is_empty() || config.auth.jwks.is_some();
    match (process.dev, process.jwt_secret_file.as_deref().map(read_secret).transpose()?) {
        (false, None) if has_public_keys => Ok(Mode::PublicKeys),
        (false, None) => Err(ServerError::NoTokens),
        (false, Some(jwt_secret)) => Ok(Mode::Production { jwt_secret }),
        (true, jwt_secret) => Ok(Mode::Development { jwt_secret }),
    }
}

fn read_secret(path: &Path) -> Result<Vec<u8>, ServerError> {
    config::read_secret(path)
        .map_err(|source| ServerError::SecretUnreadable { path: path.to_owned(), source })
}

/// Logs to stderr. socketioxide and engineioxide would log packets, tokens among them: they are built without.
fn init_log(process: &ProcessSettings, traces: Option<&Traces>) -> Result<(), ConfigError> {
    let asked = EnvFilter::try_new(&process.log)
        .map_err(|error| ConfigError::Value { key: "log".to_owned(), reason: error.to_string() })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match process.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(asked)).with(traces.map(Traces::layer)).init();
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
