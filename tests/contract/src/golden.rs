//! The golden files.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

/// When set, the files are written anew instead of compared.
pub const BLESS: &str = "SYNCLINE_BLESS";

static WRITING: Mutex<()> = Mutex::new(());

/// The text of a golden file. `rendered`, what the code encodes now, is written first when asked to bless.
pub fn text(name: &str, rendered: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if env::var_os(BLESS).is_some() {
        // Tests run at once, and each writes the same.
        let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        fs::write(&path, rendered).expect("the golden file can be written");
        return rendered.to_owned();
    }
    fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; make it with {BLESS}=1 cargo test -p syncline-contract", path.display())
    })
}

/// Bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hexadecimal digits stand for.
pub fn from_hex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte in {hex}");
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// A JSON array of objects given as names and JSON texts, one field to a line: readable, and easy to compare.
pub fn render<'a>(objects: impl IntoIterator<Item = Vec<(&'a str, String)>>) -> String {
    let objects: Vec<String> = objects
        .into_iter()
        .map(|fields| {
            let fields: Vec<String> =
                fields.into_iter().map(|(name, json)| format!("    \"{name}\": {json}")).collect();
            format!("  {{\n{}\n  }}", fields.join(",\n"))
        })
        .collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

/// Text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
