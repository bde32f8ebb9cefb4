//! What a watch selects, with the fields of two documents that it is asked of: JSON `[selection, fields, fields]`. What reads is
//! written, and read back as the same; places in an order compare as the values do, and a cursor finds its row's place.
#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use syncline_protocol::collation::compare;
use syncline_protocol::query::{Cursor, Direction, Filter, OrderBy, Selection, SortKey};
use syncline_protocol::{DocumentId, Fields, Value};

fn values(fields: &Fields, order: &[OrderBy]) -> Vec<Value> {
    order.iter().map(|key| key.path.value_in(fields).cloned().unwrap_or(Value::Null)).collect()
}

/// The order as it is defined.
fn expected(left: &[Value], right: &[Value], order: &[OrderBy]) -> Ordering {
    let compared = left.iter().zip(right).zip(order).map(|((left, right), key)| {
        let ordering = compare(left, right);
        if key.direction == Some(Direction::Desc) { ordering.reverse() } else { ordering }
    });
    compared.fold(Ordering::Equal, Ordering::then)
}

fuzz_target!(|input: &[u8]| {
    let Ok((selection, one, other)) = serde_json::from_slice::<(Selection, Fields, Fields)>(input) else {
        return;
    };
    if selection.check().is_err() {
        return;
    }
    let written = serde_json::to_vec(&selection).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<Selection>(&written).expect("what was written reads"), selection);
    if let Some(filter) = &selection.filter {
        let matches = filter.matches(&one);
        assert_ne!(matches, Filter::Not(Box::new(filter.clone())).matches(&one));
        assert_eq!(matches, Filter::And(vec![filter.clone()]).matches(&one));
        assert_eq!(matches, Filter::Or(vec![filter.clone()]).matches(&one));
    }
    let order = &selection.order_by;
    let id = DocumentId::new("one").expect("it is a name");
    let (one_key, other_key) =
        (SortKey::of(id.clone(), &one, order), SortKey::of(id.clone(), &other, order));
    let (one_values, other_values) = (values(&one, order), values(&other, order));
    assert_eq!(one_key.cmp(&other_key), expected(&one_values, &other_values, order));
    assert_eq!(SortKey::of_cursor(&Cursor { values: one_values, id }, order), one_key);
});
