//! Text that no log, error or debug output may show.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret as text. It prints as `***`; whoever needs it calls [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Some(Secret::from("canary"));
        assert_eq!(format!("{secret:?} {secret:#?}").find("canary"), None);
        assert_eq!(serde_json::to_string(&secret).ok().as_deref(), Some(r#""canary""#));
    }
}
