//! A document and a write to it, as JSON `[document or null, mutation]`: what the check allows has an effect, and one that
//! can be stored again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_protocol::{ClientId, Document, Mutation, Write, merge};

fuzz_target!(|input: &[u8]| {
    let Ok((mut document, mutation)) = serde_json::from_slice::<(Option<Document>, Mutation)>(input) else {
        return;
    };
    if let (Some(document), Write::Update(patch)) = (&document, &mutation.write)
        && merge::check(&document.fields, patch).is_err()
    {
        return;
    }
    if merge::apply(&mut document, &mutation, ClientId::from_bytes([7; 16]), 1_700_000_000_000).is_err() {
        return;
    }
    let written = serde_json::to_vec(&document).expect("an effect can be written");
    let read: Option<Document> = serde_json::from_slice(&written).expect("an effect reads");
    assert_eq!(read, document);
});
