//! Asking a server whether it takes clients, for a container's health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::http::{StatusCode, Uri};

use crate::https::{self, Trust};

/// How long the answer may take, in milliseconds.
const PROBE_TIMEOUT_MS: u64 = 3_000;

/// Why a server counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("{address} does not answer: {reason}")]
    NoAnswer { address: SocketAddr, reason: String },
    #[error("{address} is not ready: {status}")]
    NotReady { address: SocketAddr, status: StatusCode },
}

/// Asks the server that listens on an address of this machine, by TLS or without.
pub async fn ready(listen: SocketAddr, is_tls: bool) -> Result<(), ProbeError> {
    let address = SocketAddr::new(reachable(listen.ip()), listen.port());
    let no_answer = |reason: String| ProbeError::NoAnswer { address, reason };
    let scheme = if is_tls { "https" } else { "http" };
    let uri =
        format!("{scheme}://{address}/ready").parse::<Uri>().map_err(|error| no_answer(error.to_string()))?;
    // Nothing secret is told, and a certificate that was just replaced is no reason to start a server again.
    let client = https::client(Trust::Anybody).map_err(|error| no_answer(error.to_string()))?;
    let asked = tokio::time::timeout(Duration::from_millis(PROBE_TIMEOUT_MS), client.get(uri)).await;
    let answer = asked.map_err(|_| no_answer("no answer in time".to_owned()))?;
    match answer.map_err(|error| no_answer(https::reason(&error)))?.status() {
        StatusCode::OK => Ok(()),
        status => Err(ProbeError::NotReady { address, status }),
    }
}

/// Who listens on all addresses is found on loopback.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
