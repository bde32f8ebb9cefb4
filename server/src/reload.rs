//! What changes without a restart: rules, schemas, the certificate.

use std::sync::Arc;

use crate::access::rules::Rules;
use crate::config::Config;
use crate::current::Current;
use crate::door::Tls;
use crate::error::ServerError;
use crate::validate::Schemas;

/// What is in force of it.
pub(crate) struct Reloadable {
    pub(crate) rules: Arc<Current<Rules>>,
    pub(crate) schemas: Arc<Current<Schemas>>,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Reloadable {
    /// What a server starts with.
    pub(crate) fn load(config: &Config) -> Result<Self, ServerError> {
        let door = &config.door;
        Ok(Self {
            rules: Arc::new(Current::new(Rules::new(&config.security.rules)?)),
            schemas: Arc::new(Current::new(Schemas::load(&config.schemas)?)),
            tls: Tls::load(door.tls_cert_file.as_deref(), door.tls_key_file.as_deref())?,
        })
    }

    /// Takes over what the settings say now; an error leaves all of it as it was. The certificate is read from the files of
    /// before.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), ServerError> {
        let rules = Rules::new(&config.security.rules)?;
        let schemas = Schemas::load(&config.schemas)?;
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        self.rules.set(rules);
        self.schemas.set(schemas);
        Ok(())
    }
}
