//! A server that was built without `otlp` sends no traces.

use std::convert::Infallible;

use tokio::runtime::Handle;
use tracing_subscriber::layer::Identity;

use crate::config::{ConfigError, OperationsConfig};

/// None there are.
#[derive(Debug)]
pub struct Traces(Infallible);

impl Traces {
    /// Refuses settings that name a collector.
    pub fn start(config: &OperationsConfig, _: &Handle) -> Result<Option<Self>, ConfigError> {
        match config.otlp_endpoint {
            None => Ok(None),
            Some(_) => Err(ConfigError::Value {
                key: "operations.otlp_endpoint".to_owned(),
                reason: "this server was built without the feature `otlp`".to_owned(),
            }),
        }
    }

    pub fn layer(&self) -> Identity {
        match self.0 {}
    }

    pub fn end(&self) {
        match self.0 {}
    }
}
