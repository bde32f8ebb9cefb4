//! Settings of what comes in before anybody knows who it is, and of how often.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

/// What strangers may do, and TLS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoorConfig {
    /// Pages of which origins may connect, such as `https://app.example.com`; those of all when empty. What is no browser
    /// sends no origin, and may connect.
    pub origins: Vec<String>,
    /// How many proxies of your own stand before the server, each of which appends the address it sees to
    /// `X-Forwarded-For`. An address is what the first of them saw.
    pub proxies: usize,
    /// Whether the limits per address hold for this machine's own addresses too. Otherwise what comes from there is taken
    /// for a proxy.
    pub limit_loopback: bool,
    /// Connections that wait to be accepted, as many as all clients make that come back at once; the system may allow fewer
    /// (`net.core.somaxconn` on Linux). Those beyond try again after a second and more.
    pub accept_queue_max: u32,
    /// Connections that have not shown a token that holds.
    pub strangers_max: usize,
    /// The same, of one address; of IPv6, of one /64 network.
    pub strangers_per_address_max: usize,
    /// What such a connection may send, in bytes.
    pub stranger_bytes_max: usize,
    /// The head of an HTTP request, in bytes.
    pub request_head_bytes_max: usize,
    /// How long the head of an HTTP request, or a TLS handshake, may take, in milliseconds.
    pub request_head_timeout_ms: u64,
    /// How long a connection may take nothing of what is written to it, in milliseconds; then it is closed.
    pub write_timeout_ms: u64,
    /// Socket.IO handshakes of all addresses together: what a node takes when all clients come back at once. Others are told
    /// when to come, one after the other.
    #[serde(deserialize_with = "handshakes")]
    pub handshakes: Rate,
    /// The latest that any of them is told to come, in milliseconds.
    pub handshake_wait_ms_max: u64,
    /// Socket.IO handshakes of one address.
    #[serde(deserialize_with = "handshakes_per_address")]
    pub handshakes_per_address: Rate,
    /// Requests of one user, over all of its connections.
    #[serde(deserialize_with = "requests_per_user")]
    pub requests_per_user: Rate,
    /// Requests of one user for one event, such as `sync:push`; unlimited by this unless listed.
    pub events: BTreeMap<String, Rate>,
    /// Addresses, users, and users' events whose rates are kept at a time. Beyond, those that come new are not held to
    /// these rates, but to all other limits.
    pub rates_kept_max: usize,
    /// The server's certificate and those between it and an authority, in PEM. Without it the server speaks no TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of the certificate, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// How often the two files are looked at for a newer certificate, in milliseconds.
    pub tls_reload_ms: u64,
}

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In the long run, per second.
    pub per_s: u32,
    /// At once.
    pub burst: u32,
}

const HANDSHAKES: Rate = Rate { per_s: 2_000, burst: 10_000 };
const HANDSHAKES_PER_ADDRESS: Rate = Rate { per_s: 50, burst: 500 };
const REQUESTS_PER_USER: Rate = Rate { per_s: 5_000, burst: 10_000 };

fn handshakes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
    Rate::over(HANDSHAKES, deserializer)
}

fn handshakes_per_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
    Rate::over(HANDSHAKES_PER_ADDRESS, deserializer)
}

fn requests_per_user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
    Rate::over(REQUESTS_PER_USER, deserializer)
}

impl Rate {
    /// Reads a rate of which each part that is not given is as in another one.
    fn over<'de, D: Deserializer<'de>>(default: Self, deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            per_s: Option<u32>,
            burst: Option<u32>,
        }
        let Given { per_s, burst } = Given::deserialize(deserializer)?;
        Ok(Self { per_s: per_s.unwrap_or(default.per_s), burst: burst.unwrap_or(default.burst) })
    }
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            proxies: 0,
            limit_loopback: false,
            accept_queue_max: 16_384,
            strangers_max: 8_000,
            strangers_per_address_max: 256,
            stranger_bytes_max: 64 << 10,
            request_head_bytes_max: 32 << 10,
            request_head_timeout_ms: 30_000,
            write_timeout_ms: 60_000,
            handshakes: HANDSHAKES,
            handshake_wait_ms_max: 60_000,
            handshakes_per_address: HANDSHAKES_PER_ADDRESS,
            requests_per_user: REQUESTS_PER_USER,
            events: BTreeMap::new(),
            rates_kept_max: 100_000,
            tls_cert_file: None,
            tls_key_file: None,
            tls_reload_ms: 10_000,
        }
    }
}
