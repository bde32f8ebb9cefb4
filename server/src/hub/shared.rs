//! A document that a commit and those who are told of it share.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use syncline_protocol::Document;

/// Reads and writes as the document does.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedDocument(Arc<Document>);

impl SharedDocument {
    /// The document itself: a copy, if somebody else has it, too.
    pub fn into_document(self) -> Document {
        Arc::unwrap_or_clone(self.0)
    }
}

impl From<Document> for SharedDocument {
    fn from(document: Document) -> Self {
        Self(Arc::new(document))
    }
}

impl Deref for SharedDocument {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0
    }
}

impl Serialize for SharedDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Document::deserialize(deserializer).map(Self::from)
    }
}
