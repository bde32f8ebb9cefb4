//! A document that a commit and those who are told of it share.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use syncline_protocol::Document;

use super::batch::{Weighed, document_byte_len};

/// Reads and writes as the document does, and knows what that takes.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedDocument(Arc<Weighed>);

impl SharedDocument {
    /// The document itself: a copy, if somebody else has it, too.
    pub fn into_document(self) -> Document {
        Arc::unwrap_or_clone(self.0).document
    }

    /// Its [`document_byte_len`].
    pub fn byte_len(&self) -> usize {
        self.0.bytes
    }
}

impl From<Weighed> for SharedDocument {
    fn from(weighed: Weighed) -> Self {
        Self(Arc::new(weighed))
    }
}

impl From<Document> for SharedDocument {
    fn from(document: Document) -> Self {
        let bytes = document_byte_len(&document);
        Self::from(Weighed { document, bytes })
    }
}

impl Deref for SharedDocument {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0.document
    }
}

impl Serialize for SharedDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.document.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Document::deserialize(deserializer).map(Self::from)
    }
}
