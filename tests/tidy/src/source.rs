//! A scanner for Rust, Swift and Kotlin that is exact enough to tell code, comments and text apart.

/// A source's code, with comments and the contents of literals turned to spaces; lines stay where they are.
pub fn code_only(source: &str) -> String {
    split(source).0
}

/// The contents of a source's string literals, each with the number of the line it begins on.
pub fn literals(source: &str) -> Vec<(usize, String)> {
    split(source).1
}

/// The identifiers and keywords of a line.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|char: char| !(char.is_alphanumeric() || char == '_')).filter(|word| !word.is_empty())
}

fn split(source: &str) -> (String, Vec<(usize, String)>) {
    let mut scanner = Scanner { rest: source, line: 1, code: String::with_capacity(source.len()) };
    let mut literals = Vec::new();
    let mut after_word = false;
    while let Some(char) = scanner.rest.chars().next() {
        if scanner.rest.starts_with("//") {
            let length = scanner.rest.find('\n').unwrap_or(scanner.rest.len());
            scanner.blank(length);
        } else if scanner.rest.starts_with("/*") {
            scanner.blank(block_comment_len(scanner.rest));
        } else if let Some((open, close)) = (!after_word).then(|| raw_string(scanner.rest)).flatten() {
            let body = &scanner.rest[open..];
            let length = body.find(&close).unwrap_or(body.len());
            literals.push((scanner.line, body[..length].to_owned()));
            scanner.blank((open + length + close.len()).min(scanner.rest.len()));
        } else if char == '"' {
            let length = quoted_len(scanner.rest);
            literals.push((scanner.line, scanner.rest[1..length].trim_end_matches('"').to_owned()));
            scanner.blank(length);
        } else if let Some(length) = char_literal_len(scanner.rest) {
            scanner.blank(length);
        } else {
            scanner.keep(char);
        }
        after_word = char.is_alphanumeric() || char == '_';
    }
    (scanner.code, literals)
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    code: String,
}

impl Scanner<'_> {
    fn keep(&mut self, char: char) {
        self.line += usize::from(char == '\n');
        self.code.push(char);
        self.rest = &self.rest[char.len_utf8()..];
    }

    fn blank(&mut self, length: usize) {
        let (blanked, rest) = self.rest.split_at(length);
        for char in blanked.chars() {
            self.line += usize::from(char == '\n');
            self.code.push(if char == '\n' { '\n' } else { ' ' });
        }
        self.rest = rest;
    }
}

fn block_comment_len(source: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    source.len()
}

/// The length of the opening of a raw or triple-quoted string, and what closes it.
fn raw_string(source: &str) -> Option<(usize, String)> {
    if source.starts_with("\"\"\"") {
        return Some((3, "\"\"\"".to_owned()));
    }
    let after_prefix = source.strip_prefix("br").or_else(|| source.strip_prefix('r'))?;
    let hashes = after_prefix.len() - after_prefix.trim_start_matches('#').len();
    after_prefix[hashes..].starts_with('"').then(|| {
        let open = source.len() - after_prefix.len() + hashes + 1;
        (open, format!("\"{}", "#".repeat(hashes)))
    })
}

fn quoted_len(source: &str) -> usize {
    let mut escaped = false;
    for (at, char) in source.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    source.len()
}

/// The length of a character literal; `None` for a lifetime or anything else.
fn char_literal_len(source: &str) -> Option<usize> {
    let body = source.strip_prefix('\'')?;
    let length = if body.starts_with('\\') {
        // Past the escaped character, which may itself be a quote.
        2 + body.get(2..)?.find('\'')?
    } else {
        body.chars().next()?.len_utf8()
    };
    body.get(length..)?.starts_with('\'').then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_text_are_not_code() {
        let source = "a(\"b\"); // c\n/* d /* e */ f */ g('h', r#\"i\"j\"#)";
        assert_eq!(words(&code_only(source)).collect::<Vec<_>>(), ["a", "g"]);
    }

    #[test]
    fn a_lifetime_is_code_and_an_escaped_quote_ends_no_literal() {
        let source = r#"fn f<'a>(x: &'a str) { g('\'', "h\"i", b'j') } k"#;
        let code = code_only(source);
        assert_eq!(words(&code).collect::<Vec<_>>(), ["fn", "f", "a", "x", "a", "str", "g", "b", "k"]);
    }

    #[test]
    fn literals_come_with_their_line() {
        let source = "let a = \"x\n\"; // \"no\"\ncall(\"y\", \"\"\"z\"\"\")";
        let expected = [(1, "x\n".to_owned()), (3, "y".to_owned()), (3, "z".to_owned())];
        assert_eq!(literals(source), expected);
    }

    #[test]
    fn a_name_ending_in_r_begins_no_raw_string() {
        assert_eq!(literals("var\"x\""), [(1, "x".to_owned())]);
    }
}
