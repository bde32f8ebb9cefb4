//! `docs/server-settings.md` has every setting with its default, made of the doc comments. `SYNCLINE_BLESS=1` writes it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{Config, ProcessSettings};

const PAGE: &str = "docs/server-settings.md";

/// Where the page's generated part begins.
const TABLES: &str = "## Settings\n";

/// A field of a struct: its name, its type and its doc comment.
struct Field {
    name: String,
    kind: String,
    doc: String,
}

type Structs = BTreeMap<String, Vec<Field>>;

#[test]
fn the_page_has_every_setting_with_its_default_and_meaning() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut structs = Structs::new();
    read_folder(&root.join("server/src"), &mut structs);
    read_file(&root.join("core/protocol/src/limits.rs"), &mut structs);
    let path = root.join(PAGE);
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let (head, told) = page.split_once(TABLES).expect("the page has its tables");
    let tables = tables(&structs);
    if std::env::var_os("SYNCLINE_BLESS").is_some() {
        std::fs::write(&path, format!("{head}{TABLES}{tables}")).expect("the page is written");
    } else {
        assert!(
            told == tables,
            "{PAGE} is behind the code: SYNCLINE_BLESS=1 cargo test -p syncline-server --lib page"
        );
    }
}

fn tables(structs: &Structs) -> String {
    let mut rows = Vec::new();
    collect(structs, "ProcessSettings", "", &json(&ProcessSettings::default()), &mut rows);
    collect(structs, "Config", "", &json(&Config::default()), &mut rows);
    let mut sections: Vec<(String, String)> = Vec::new();
    for (key, default, doc) in rows {
        let (section, _) = key.rsplit_once('.').unwrap_or(("", &key));
        if sections.last().is_none_or(|(last, _)| last != section) {
            sections.push((section.to_owned(), String::new()));
        }
        if let Some((_, text)) = sections.last_mut() {
            let _ = writeln!(text, "| `{key}` | {default} | {doc} |");
        }
    }
    // Settings without a section stand in two structs and in one table.
    sections.sort_by_key(|(section, _)| !section.is_empty());
    let mut page = String::new();
    let mut before = None;
    for (section, text) in sections {
        if before.as_ref() != Some(&section) {
            let title =
                if section.is_empty() { "Without a section".to_owned() } else { format!("`{section}`") };
            let _ = write!(page, "\n### {title}\n\n| Setting | Default | Means |\n|---|---|---|\n");
        }
        page += &text;
        before = Some(section);
    }
    page
}

/// The rows of a struct's settings: those of its own first.
fn collect(
    structs: &Structs,
    name: &str,
    at: &str,
    defaults: &Value,
    rows: &mut Vec<(String, String, String)>,
) {
    let fields = structs.get(name).unwrap_or_else(|| panic!("{name} is a struct"));
    let known: Vec<(&Field, &Value)> =
        fields.iter().filter_map(|field| Some((field, defaults.get(&field.name)?))).collect();
    let key = |field: &Field| if at.is_empty() { field.name.clone() } else { format!("{at}.{}", field.name) };
    for (field, default) in known.iter().filter(|(_, default)| !default.is_object()) {
        assert!(!field.doc.is_empty(), "{name}.{} has no doc comment", field.name);
        rows.push((key(field), shown(default), field.doc.replace('|', "\\|")));
    }
    for (field, default) in known.iter().filter(|(_, default)| default.is_object()) {
        match structs.contains_key(&field.kind) {
            true => collect(structs, &field.kind, &key(field), default, rows),
            // A map, whose keys are the operator's.
            false => rows.push((key(field), "none".to_owned(), field.doc.replace('|', "\\|"))),
        }
    }
}

fn shown(default: &Value) -> String {
    match default {
        Value::Null => "none".to_owned(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}

fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("settings are JSON")
}

fn read_folder(folder: &Path, structs: &mut Structs) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_folder(&path, structs);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read_file(&path, structs);
        }
    }
}

/// Notes the public structs of a file that rustfmt wrote.
fn read_file(path: &Path, structs: &mut Structs) {
    let source = std::fs::read_to_string(path).expect("a source");
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {"));
        let Some(name) = name else { continue };
        let (mut fields, mut doc) = (Vec::new(), Vec::new());
        for line in lines.by_ref().take_while(|line| *line != "}").map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                doc.push(text.trim());
            } else if let Some((field, kind)) =
                line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
            {
                let kind = kind.trim_end_matches(',').trim_start_matches("Option<").trim_end_matches('>');
                let kind = kind.rsplit("::").next().unwrap_or(kind).to_owned();
                fields.push(Field { name: field.to_owned(), kind, doc: std::mem::take(&mut doc).join(" ") });
            }
        }
        structs.insert(name.to_owned(), fields);
    }
}
