//! Bytes beside JSON text: the text names each as `{"$attachment": index}`.
//!
//! Serde hands nothing down to the value that it writes or reads, so what lies beside the text is known to the thread, for as
//! long as one text takes.

use std::cell::RefCell;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

thread_local! {
    /// What the text being written or read has beside it; nothing where bytes must be in the text itself.
    static BESIDE: RefCell<Option<Vec<Bytes>>> = const { RefCell::new(None) };
}

/// Writes JSON text, and takes the bytes of arguments out of it.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<(String, Vec<Bytes>)> {
    let beside = Beside::begin(Vec::new());
    let text = serde_json::to_string(value)?;
    Ok((text, beside.end()))
}

/// Reads JSON text whose arguments may name these bytes.
pub fn from_text<'a, T: Deserialize<'a>>(text: &'a str, attachments: Vec<Bytes>) -> serde_json::Result<T> {
    let _beside = Beside::begin(attachments);
    serde_json::from_str(text)
}

/// Puts bytes beside the text being written. `None` if they must be in it.
pub(crate) fn put(bytes: &Bytes) -> Option<usize> {
    BESIDE.with_borrow_mut(|beside| {
        let beside = beside.as_mut()?;
        beside.push(bytes.clone());
        Some(beside.len() - 1)
    })
}

/// What lies beside the text being read.
pub(crate) fn get(index: i64) -> Option<Bytes> {
    let index = usize::try_from(index).ok()?;
    BESIDE.with_borrow(|beside| beside.as_ref()?.get(index).cloned())
}

/// Ends with the text, also when a panic ends it.
struct Beside {
    outer: Option<Vec<Bytes>>,
}

impl Beside {
    fn begin(attachments: Vec<Bytes>) -> Self {
        Self { outer: BESIDE.replace(Some(attachments)) }
    }

    fn end(self) -> Vec<Bytes> {
        BESIDE.take().unwrap_or_default()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        BESIDE.set(self.outer.take());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::argument::{Argument, portable};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Args(#[serde(with = "portable")] Vec<Argument>);

    fn bytes(bytes: &'static [u8]) -> Argument {
        Argument::Bytes(Bytes::from_static(bytes))
    }

    #[test]
    fn bytes_lie_beside_the_text_and_come_back() {
        let args = Args(vec![bytes(b"\x00\xff"), Argument::Array(vec![Argument::Int(1), bytes(b"")])]);
        let (text, attachments) = to_text(&args).unwrap();
        assert_eq!(text, r#"[{"$attachment":0},[1,{"$attachment":1}]]"#);
        assert_eq!(attachments, [Bytes::from_static(b"\x00\xff"), Bytes::new()]);
        assert_eq!(from_text::<Args>(&text, attachments).unwrap(), args);
    }

    #[test]
    fn what_looks_like_an_attachment_is_none() {
        let plain = Argument::Object([("$attachment".to_owned(), Argument::Int(0))].into());
        let args = Args(vec![plain, bytes(b"a")]);
        let (text, attachments) = to_text(&args).unwrap();
        assert_eq!(text, r#"[{"$object":{"$attachment":0}},{"$attachment":0}]"#);
        assert_eq!(from_text::<Args>(&text, attachments).unwrap(), args);
    }

    #[test]
    fn a_text_that_names_what_is_not_beside_it_is_refused() {
        for text in [r#"[{"$attachment":1}]"#, r#"[{"$attachment":-1}]"#, r#"[{"$attachment":"0"}]"#] {
            assert!(from_text::<Args>(text, vec![Bytes::from_static(b"a")]).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Args>(r#"[{"$attachment":0}]"#).is_err());
    }

    #[test]
    fn a_text_alone_holds_its_bytes_also_after_one_that_failed() {
        assert!(from_text::<Args>("[", vec![Bytes::from_static(b"a")]).is_err());
        assert_eq!(serde_json::to_string(&Args(vec![bytes(b"a")])).unwrap(), r#"[{"$bytes":"YQ=="}]"#);
        assert!(serde_json::from_str::<Args>(r#"[{"$attachment":0}]"#).is_err());
    }
}
