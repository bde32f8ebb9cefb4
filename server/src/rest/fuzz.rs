//! What requests are read by, for `tests/fuzz`.
#![allow(clippy::expect_used)]

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use syncline_protocol::Fields;
use syncline_protocol::query::Cursor;

use super::documents::{FieldsBody, PatchQuery};
use super::list::{self, ChangesQuery, ListQuery};
use super::patch::{self, Numbers};
use super::{batch, request};

/// Between the query, a header and the body.
const SEPARATOR: u8 = 0xff;

/// Reads a patch from JSON.
pub fn fuzz_patch(text: &[u8]) {
    if let Ok(body) = serde_json::from_slice::<Fields>(text) {
        drop(patch::read(body.clone(), Numbers::Set));
        drop(patch::read(body, Numbers::Increment));
    }
}

/// Reads a query, a header and a body, and the body as a page's cursor.
pub fn fuzz_request(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == SEPARATOR);
    let (query, value, body) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    if let Ok(uri) = Uri::try_from([b"/?", query].concat()) {
        if let Ok(Query(query)) = Query::<ListQuery>::try_from_uri(&uri)
            && let Ok(selection) = list::selection(&query)
        {
            assert!(selection.check().is_ok());
            if let Some(cursor) = selection.after {
                goes_on(&cursor);
            }
        }
        drop(Query::<ChangesQuery>::try_from_uri(&uri));
        drop(Query::<PatchQuery>::try_from_uri(&uri));
    }
    if let Ok(value) = HeaderValue::from_bytes(value) {
        let one = |name| HeaderMap::from_iter([(name, value.clone())]);
        drop(request::condition(&one(header::IF_MATCH)));
        drop(request::condition(&one(header::IF_NONE_MATCH)));
        drop(request::has_already(&one(header::IF_NONE_MATCH), 7));
        if let Ok(Some(key)) = request::idempotency_key(&one(request::IDEMPOTENCY_KEY)) {
            assert!(key.len() <= request::KEY_BYTES_MAX);
        }
    }
    if let Ok(cursor) = list::read_cursor(&URL_SAFE_NO_PAD.encode(body)) {
        goes_on(&cursor);
    }
    let json = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = Bytes::copy_from_slice(body);
    drop(request::json::<FieldsBody>(&json, &body));
    if let Ok(batch) = request::json::<batch::BatchBody>(&json, &body) {
        drop(batch::items(batch.operations));
    }
}

/// What names a page is read back as the same.
fn goes_on(cursor: &Cursor) {
    let token = list::cursor_token(cursor).expect("what was read can be written");
    assert_eq!(list::read_cursor(&token).expect("what was written reads"), *cursor);
}
