//! Regular expressions in Go's syntax, for the `regex` crate.
//!
//! Both descend from RE2, and the following differences are rewritten here: `\Q…\E`,
//! `\C`, octal escapes, a `{` that is no repetition, brackets and `&&`, `--`, `~~` in
//! classes, `\<`. As in Go, `\d`, `\s`, `\w` and `\b` mean ASCII, and a `.` or a negated
//! class also takes a byte that isn't UTF-8.

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

/// The longest expression; no person writes a longer one.
const PATTERN_BYTES_MAX: usize = 16 << 10;
/// The most bytes of the compiled expression, and of the cache while it matches.
const PROGRAM_BYTES_MAX: usize = 4 << 20;
const NESTING_MAX: u32 = 100;

/// A compiled expression, identified by a number.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    pub(super) number: u32,
}

impl Pattern {
    /// Compiles Go's syntax; the error says what is wrong.
    pub(super) fn compile(go: &str, number: u32) -> Result<Self, String> {
        let error = |reason: &str| format!("bad regular expression {go:?}: {reason}");
        if go.len() > PATTERN_BYTES_MAX {
            let reason = format!("it has more than {PATTERN_BYTES_MAX} bytes");
            return Err(format!("bad regular expression: {reason}"));
        }
        let rewritten = rewrite(go).map_err(|reason| error(&reason))?;
        let regex = RegexBuilder::new(&rewritten)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX)
            .nest_limit(NESTING_MAX)
            .build()
            .map_err(|source| error(&last_line(&source)))?;
        Ok(Self { regex, number })
    }
}

/// The expressions of one event loop. Each loop has its own working memory for them, so
/// that loops don't wait for each other.
#[derive(Debug, Default)]
pub(super) struct Matchers(Vec<Option<Matcher>>);

#[derive(Debug)]
pub(super) struct Matcher {
    pub(super) regex: Regex,
    pub(super) groups: CaptureLocations,
}

impl Matchers {
    pub(super) fn get(&mut self, pattern: &Pattern) -> &mut Matcher {
        let index = pattern.number as usize;
        if index >= self.0.len() {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index].get_or_insert_with(|| Matcher {
            groups: pattern.regex.capture_locations(),
            // A clone has its own pool of caches.
            regex: pattern.regex.clone(),
        })
    }
}

fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Bytes that count as a rune in Go although they aren't UTF-8.
const NOT_UTF8: &str = r"(?-u:[\x80-\xFF])";

struct Rewriter<'a> {
    rest: std::iter::Peekable<std::str::CharIndices<'a>>,
    text: &'a str,
    out: String,
}

fn rewrite(go: &str) -> Result<String, String> {
    let mut rewriter = Rewriter {
        rest: go.char_indices().peekable(),
        text: go,
        out: String::with_capacity(go.len() + 16),
    };
    while let Some((at, char)) = rewriter.rest.next() {
        match char {
            '\\' => rewriter.escape()?,
            '[' => rewriter.class()?,
            '.' => rewriter.any(".", "."),
            '{' if !is_repetition(&go[at..]) => rewriter.out.push_str("\\{"),
            char => rewriter.out.push(char),
        }
    }
    Ok(rewriter.out)
}

impl Rewriter<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|&(_, char)| char)
    }

    /// Adds an item that matches nearly any rune. If it is repeated without bounds,
    /// matching byte by byte gives the same result faster.
    fn any(&mut self, bytewise: &str, runewise: &str) {
        if !bytewise.is_empty() && matches!(self.peek(), Some('*' | '+')) {
            self.out.push_str(&format!("(?-u:{bytewise})"));
        } else {
            self.out.push_str(&format!("(?:{runewise}|{NOT_UTF8})"));
        }
    }

    /// Parses an escape outside of a class, after the backslash.
    fn escape(&mut self) -> Result<(), String> {
        let (at, char) = self.rest.next().ok_or("it ends in a backslash")?;
        match char {
            'Q' => {
                let quoted = &self.text[at + 1..];
                let length = quoted.find("\\E").unwrap_or(quoted.len());
                self.out.push_str(&regex::escape(&quoted[..length]));
                let end = at + 1 + length + 2;
                while self.rest.next_if(|&(at, _)| at < end).is_some() {}
            }
            // \E without \Q is an error.
            'E' => return Err(unknown('E')),
            'C' => self.out.push_str("(?s-u:.)"),
            'd' | 's' | 'w' => self.out.push_str(&format!("[{}]", ascii(char))),
            'D' | 'S' | 'W' => {
                let class = format!("[^{}]", ascii(char.to_ascii_lowercase()));
                self.any(&class, &class);
            }
            'b' | 'B' => self.out.push_str(&format!("(?-u:\\{char})")),
            '0'..='7' => self.octal(at, char)?,
            char => self.plain_escape(char)?,
        }
        Ok(())
    }

    /// Parses escapes that mean the same inside and outside of a class.
    fn plain_escape(&mut self, char: char) -> Result<(), String> {
        match char {
            'A' | 'z' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'p' | 'P' => {
                self.out.push('\\');
                self.out.push(char);
                // In \x{…} and \p{…}, the braces are no repetition.
                if matches!(char, 'x' | 'p' | 'P') && self.peek() == Some('{') {
                    for (_, char) in self.rest.by_ref() {
                        self.out.push(char);
                        if char == '}' {
                            break;
                        }
                    }
                }
                Ok(())
            }
            char if !char.is_ascii_alphanumeric() => {
                let mut text = [0; 4];
                self.out
                    .push_str(&regex::escape(char.encode_utf8(&mut text)));
                Ok(())
            }
            char => Err(unknown(char)),
        }
    }

    /// Parses `\0`, or a digit that another digit follows. A single digit would be a
    /// backreference, which isn't supported.
    fn octal(&mut self, at: usize, first: char) -> Result<(), String> {
        let digits = self.text[at..]
            .bytes()
            .take(3)
            .take_while(|byte| (b'0'..=b'7').contains(byte))
            .count();
        if first != '0' && digits == 1 {
            return Err(format!("\\{first}: backreferences aren't supported"));
        }
        let value = u32::from_str_radix(&self.text[at..at + digits], 8).unwrap_or(0);
        self.out.push_str(&format!("\\x{{{value:x}}}"));
        while self.rest.next_if(|&(next, _)| next < at + digits).is_some() {}
        Ok(())
    }

    /// Parses a class, after its bracket.
    fn class(&mut self) -> Result<(), String> {
        let outside = std::mem::take(&mut self.out);
        let negated = self.rest.next_if(|&(_, char)| char == '^').is_some();
        let mut is_ascii = true;
        let mut is_first = true;
        loop {
            let (at, char) = self.rest.next().ok_or("a class without its ]")?;
            match char {
                ']' if !is_first => break,
                '[' if self.text[at..].starts_with("[:") && self.text[at..].contains(":]") => {
                    let length = self.text[at..].find(":]").unwrap_or(0) + 2;
                    self.out.push_str(&self.text[at..at + length]);
                    while self.rest.next_if(|&(next, _)| next < at + length).is_some() {}
                }
                '[' | ']' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(char);
                }
                '-' if self.peek() == Some('-') => self.out.push_str("\\-"),
                '\\' => {
                    let (at, char) = self.rest.next().ok_or("it ends in a backslash")?;
                    match char {
                        'd' | 's' | 'w' => self.out.push_str(ascii(char)),
                        'D' | 'S' | 'W' => {
                            let class = ascii(char.to_ascii_lowercase());
                            self.out.push_str(&format!("[^{class}]"));
                            is_ascii = false;
                        }
                        '0'..='7' => self.octal(at, char)?,
                        'p' | 'P' | 'x' => {
                            is_ascii = false;
                            self.plain_escape(char)?;
                        }
                        'A' | 'z' => return Err(unknown(char)),
                        '-' => self.out.push_str("\\-"),
                        char => self.plain_escape(char)?,
                    }
                }
                char => {
                    is_ascii &= char.is_ascii();
                    self.out.push(char);
                }
            }
            is_first = false;
        }
        let inside = std::mem::replace(&mut self.out, outside);
        match negated {
            false => self.out.push_str(&format!("[{inside}]")),
            true => {
                let class = format!("[^{inside}]");
                self.any(if is_ascii { &class } else { "" }, &class);
            }
        }
        Ok(())
    }
}

/// Perl's classes, as Go has them.
fn ascii(class: char) -> &'static str {
    match class {
        'd' => "0-9",
        's' => r"\t\n\f\r ",
        _ => "0-9A-Za-z_",
    }
}

fn unknown(char: char) -> String {
    format!("\\{char} isn't supported")
}

/// Whether the text is `{n}`, `{n,}` or `{n,m}`; any other brace is literal.
fn is_repetition(text: &str) -> bool {
    let Some((inside, _)) = text[1..].split_once('}') else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        None => is_number(inside),
        Some((from, to)) => is_number(from) && (to.is_empty() || is_number(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, rewrite};

    fn found<'a>(pattern: &str, text: &'a [u8]) -> Option<&'a [u8]> {
        let pattern = Pattern::compile(pattern, 0).expect("it is right");
        let captures = pattern.regex.captures(text)?;
        let last = captures.len() - 1;
        captures.get(last).map(|group| group.as_bytes())
    }

    #[test]
    fn what_go_accepts() {
        type Case<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
        let cases: &[Case<'_>] = &[
            (
                r#"{"token": "([^"]+)"}"#,
                br#"{"token": "a{1}"}"#,
                Some(b"a{1}"),
            ),
            (r"\Qa.b(\E(\d+)", b"a.b(12", Some(b"12")),
            (r"\Qa.b(", b"a.b(", Some(b"a.b(")),
            (r"x\Cy", b"x\xffy", Some(b"x\xffy")),
            (r"(?P<n>a)(?<m>b)\z", b"ab", Some(b"b")),
            (r"\141\0\x{e9}", b"a\0\xc3\xa9", Some(b"a\0\xc3\xa9")),
            (r"a{,2}", b"a{,2}", Some(b"a{,2}")),
            (r"a{2}(.)", "aaé!".as_bytes(), Some("é".as_bytes())),
            (r"a{2}(.)!", b"aa\xe9!", Some(b"\xe9")),
            (r"<(.*)>", b"<\xe9\xff>", Some(b"\xe9\xff")),
            (r#"="([^"]+)""#, b"=\"\xe9\xff\"", Some(b"\xe9\xff")),
            (r#"="([^"é])""#, b"=\"\xe9\"", Some(b"\xe9")),
            (r"([[:alpha:]]+)[[]", b"ab[", Some(b"ab")),
            (r"[a&&b]+", b"&&ab", Some(b"&&ab")),
            (r"[]a]+", b"]a", Some(b"]a")),
            (r"[^]a]", b"]ab", Some(b"b")),
            (r"\<\/\_\>", b"</_>", Some(b"</_>")),
            (r"[\w-]+", b"a-_", Some(b"a-_")),
            (r"\w", "é".as_bytes(), None),
            (r"\bé", "é".as_bytes(), None),
            (r"(?i)É", "é".as_bytes(), Some("é".as_bytes())),
            (r"(?s)a(.*)", b"a\nb", Some(b"\nb")),
            (r"(?U)a+", b"aaa", Some(b"a")),
            (r"\pL\p{Greek}", "éα".as_bytes(), Some("éα".as_bytes())),
            (r"[^\D]", b"x7", Some(b"7")),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                found(pattern, text),
                *expected,
                "{pattern}: {:?}",
                rewrite(pattern)
            );
        }
    }

    #[test]
    fn what_it_does_not_is_told() {
        for (pattern, reason) in [
            (r"(a)\1", "backreferences aren't supported"),
            (r"(?=a)", "look-around"),
            (r"a\Z", r"\Z isn't supported"),
            (r"a\", "ends in a backslash"),
            (r"[a", "a class without its ]"),
            (r"(a", "unclosed group"),
            (r"(?:(?:\pL{1000}){1000}){1000}", "size limit"),
        ] {
            let error = Pattern::compile(pattern, 0).expect_err(pattern);
            assert!(
                error.contains(reason) && error.contains(&format!("{pattern:?}")),
                "{error}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(pattern in r"([\\\[\]{}()^$.*+?|\-:&~aQEdDC01,é]){0,24}") {
            let _ = Pattern::compile(&pattern, 0);
        }

        #[test]
        fn letters_match_themselves(text in "[a-zé0-9 ]{1,20}") {
            proptest::prop_assert_eq!(found(&text, text.as_bytes()), Some(text.as_bytes()));
        }
    }
}
