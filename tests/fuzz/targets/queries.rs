//! What a watch selects, with fields that it is asked of: JSON `[selection, fields]`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_protocol::query::{Selection, SortKey};
use syncline_protocol::{DocumentId, Fields};

fuzz_target!(|input: &[u8]| {
    let Ok((selection, fields)) = serde_json::from_slice::<(Selection, Fields)>(input) else { return };
    if selection.check().is_err() {
        return;
    }
    if let Some(filter) = &selection.filter {
        filter.matches(&fields);
    }
    if let Ok(id) = DocumentId::new("one") {
        let key = SortKey::of(id, &fields, &selection.order_by);
        assert!(key <= key.clone());
    }
});
