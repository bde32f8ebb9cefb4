//! Rules about this repository's files. Each is a pure function from a [`Tree`] to the places that break it, so that
//! it can be shown to catch what it forbids; `tests/repository.rs` holds the repository itself to all of them.
//!
//! - [`source`] tells code from comments and text.
//! - [`layers`] keeps the pure parts pure and the dependencies pointing one way.
//! - [`files`] keeps files short, alive, portable and of one version.

pub mod files;
pub mod layers;
pub mod source;

use std::path::Path;
use std::process::Command;

/// A text file of the repository.
#[derive(Debug, Clone)]
pub struct File {
    /// From the root, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    /// The lines with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether the path ends in one of these, dot included.
    pub fn has_extension(&self, extensions: &[&str]) -> bool {
        extensions.iter().any(|extension| self.path.ends_with(extension))
    }
}

/// The repository's text files: tracked, or new and not ignored.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the repository that holds `root`; files that are not UTF-8 are left out.
    pub fn read(root: &Path) -> Result<Self, String> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git did not start: {error}"))?;
        if !listing.status.success() {
            return Err(format!("git ls-files failed: {}", String::from_utf8_lossy(&listing.stderr)));
        }
        let names = String::from_utf8(listing.stdout).map_err(|error| error.to_string())?;
        let files = names
            .split_terminator('\0')
            // A file that was deleted and not yet committed is still listed.
            .filter_map(|name| Some((name, std::fs::read(root.join(name)).ok()?)))
            .filter_map(|(name, bytes)| {
                Some(File { path: name.to_owned(), text: String::from_utf8(bytes).ok()? })
            })
            .collect();
        Ok(Self { files })
    }

    pub fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files with one of these extensions.
    pub fn with_extension<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.has_extension(extensions))
    }

    /// A tree of given paths and texts.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }
}
