//! Conditions of `if` and `while`: comparisons of values, with `&&`, `||`, `!`
//! and parentheses, as JavaScript and JEXL write them.
//!
//! `"${name}"` is a text. `${name}` without quotes is a number, a boolean or a text,
//! depending on its value.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The deepest nesting of parentheses; no person writes more.
const NESTING_MAX: usize = 50;
const CONDITION_BYTES_MAX: usize = 4 << 10;

/// A parsed condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Or(Box<Condition>, Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare(Operand, Comparison, Operand),
    Is(Operand),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// A text between quotes, which may contain variables.
    Text(String),
    Number(f64),
    Truth(bool),
    /// `${name}`, without quotes.
    Variable(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Parses a condition; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = |reason: String| format!("condition {text:?}: {reason}");
        if text.len() > CONDITION_BYTES_MAX {
            return Err(format!(
                "a condition has at most {CONDITION_BYTES_MAX} bytes"
            ));
        }
        let mut parser = Parser {
            rest: text,
            depth: 0,
        };
        let condition = parser.or().map_err(bad)?;
        match parser.token().map_err(bad)? {
            None => Ok(condition),
            Some(token) => Err(bad(format!("{} isn't expected there", token.shown()))),
        }
    }

    /// Whether the condition holds; `fill` puts the values of variables into a text.
    pub(super) fn holds(&self, fill: &mut dyn FnMut(&str) -> Vec<u8>) -> bool {
        match self {
            Self::Or(left, right) => left.holds(fill) || right.holds(fill),
            Self::And(left, right) => left.holds(fill) && right.holds(fill),
            Self::Not(inner) => !inner.holds(fill),
            Self::Is(operand) => operand.value(fill).is_true(),
            Self::Compare(left, comparison, right) => {
                let order = left.value(fill).compare(&right.value(fill));
                match comparison {
                    Comparison::Equal => order == Some(Ordering::Equal),
                    Comparison::Unequal => order != Some(Ordering::Equal),
                    Comparison::Less => order == Some(Ordering::Less),
                    Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
                    Comparison::Greater => order == Some(Ordering::Greater),
                    Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
                }
            }
        }
    }
}

impl Operand {
    fn value(&self, fill: &mut dyn FnMut(&str) -> Vec<u8>) -> Value {
        match self {
            Self::Number(number) => Value::Number(*number),
            Self::Truth(truth) => Value::Truth(*truth),
            Self::Text(text) => Value::Text(fill(text)),
            Self::Variable(text) => {
                let value = fill(text);
                match &*value {
                    b"true" => Value::Truth(true),
                    b"false" => Value::Truth(false),
                    _ => number_of(&value).map_or(Value::Text(value), Value::Number),
                }
            }
        }
    }
}

#[derive(Debug)]
enum Value {
    Text(Vec<u8>),
    Number(f64),
    Truth(bool),
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Self::Truth(truth) => *truth,
            Self::Text(text) => text == b"true",
            Self::Number(_) => false,
        }
    }

    /// `None` if they can't be compared.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Truth(left), Self::Truth(right)) => Some(left.cmp(right)),
            (Self::Truth(truth), Self::Text(text)) => Some(truth_text(*truth).cmp(text)),
            (Self::Text(text), Self::Truth(truth)) => Some((**text).cmp(truth_text(*truth))),
            (left, right) => left.number()?.partial_cmp(&right.number()?),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => number_of(text),
            Self::Truth(_) => None,
        }
    }
}

fn truth_text(truth: bool) -> &'static [u8] {
    if truth { b"true" } else { b"false" }
}

fn number_of(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    // "inf" and "nan" are texts.
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Or,
    And,
    Not,
    Open,
    Close,
    Comparison(Comparison),
    Operand(Operand),
}

impl Token {
    fn shown(&self) -> Cow<'static, str> {
        match self {
            Self::Or => "||".into(),
            Self::And => "&&".into(),
            Self::Not => "!".into(),
            Self::Open => "(".into(),
            Self::Close => ")".into(),
            Self::Comparison(_) => "a comparison".into(),
            Self::Operand(Operand::Text(text)) => format!("{text:?}").into(),
            Self::Operand(Operand::Variable(text)) => text.clone().into(),
            Self::Operand(Operand::Number(number)) => number.to_string().into(),
            Self::Operand(Operand::Truth(truth)) => truth.to_string().into(),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

/// Longer symbols come first, so that `==` isn't read as `=` twice.
const SYMBOLS: [(&str, Token); 13] = [
    ("===", Token::Comparison(Comparison::Equal)),
    ("!==", Token::Comparison(Comparison::Unequal)),
    ("==", Token::Comparison(Comparison::Equal)),
    ("!=", Token::Comparison(Comparison::Unequal)),
    ("<=", Token::Comparison(Comparison::LessOrEqual)),
    (">=", Token::Comparison(Comparison::GreaterOrEqual)),
    ("<", Token::Comparison(Comparison::Less)),
    (">", Token::Comparison(Comparison::Greater)),
    ("||", Token::Or),
    ("&&", Token::And),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
];

const WORDS: [(&str, Token); 11] = [
    ("true", Token::Operand(Operand::Truth(true))),
    ("false", Token::Operand(Operand::Truth(false))),
    ("or", Token::Or),
    ("and", Token::And),
    ("not", Token::Not),
    ("eq", Token::Comparison(Comparison::Equal)),
    ("ne", Token::Comparison(Comparison::Unequal)),
    ("lt", Token::Comparison(Comparison::Less)),
    ("le", Token::Comparison(Comparison::LessOrEqual)),
    ("gt", Token::Comparison(Comparison::Greater)),
    ("ge", Token::Comparison(Comparison::GreaterOrEqual)),
];

impl Parser<'_> {
    fn or(&mut self) -> Result<Condition, String> {
        let mut left = self.and()?;
        while self.took(&Token::Or)? {
            left = Condition::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Condition, String> {
        let mut left = self.not()?;
        while self.took(&Token::And)? {
            left = Condition::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(format!("more than {NESTING_MAX} parentheses and !"));
        }
        let condition = self.not_inner();
        self.depth -= 1;
        condition
    }

    fn not_inner(&mut self) -> Result<Condition, String> {
        if self.took(&Token::Not)? {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        if self.took(&Token::Open)? {
            let inner = self.or()?;
            return match self.took(&Token::Close)? {
                true => Ok(inner),
                false => Err("a ) is missing".to_owned()),
            };
        }
        let left = self.operand()?;
        let before = self.rest;
        match self.token()? {
            Some(Token::Comparison(comparison)) => {
                Ok(Condition::Compare(left, comparison, self.operand()?))
            }
            _ => {
                self.rest = before;
                Ok(Condition::Is(left))
            }
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        match self.token()? {
            Some(Token::Operand(operand)) => Ok(operand),
            Some(token) => Err(format!("a value is missing before {}", token.shown())),
            None => Err("a value is missing at its end".to_owned()),
        }
    }

    fn took(&mut self, wanted: &Token) -> Result<bool, String> {
        let before = self.rest;
        if self.token()?.as_ref() == Some(wanted) {
            return Ok(true);
        }
        self.rest = before;
        Ok(false)
    }

    fn token(&mut self) -> Result<Option<Token>, String> {
        self.rest = self.rest.trim_start();
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if matches!(first, '"' | '\'') {
            let end = self.rest[1..].find(first);
            let end = end.ok_or_else(|| format!("a {first} is missing"))?;
            let text = self.rest[1..=end].to_owned();
            self.rest = &self.rest[end + 2..];
            return Ok(Some(Token::Operand(Operand::Text(text))));
        }
        if self.rest.starts_with("${") {
            let end = self.rest.find('}').ok_or("a } is missing")?;
            let text = self.rest[..=end].to_owned();
            self.rest = &self.rest[end + 1..];
            return Ok(Some(Token::Operand(Operand::Variable(text))));
        }
        for (symbol, token) in &SYMBOLS {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return Ok(Some(token.clone()));
            }
        }
        let is_inside = |char: char| char.is_alphanumeric() || "_.-+".contains(char);
        let end = self.rest.find(|char| !is_inside(char));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let known = WORDS.iter().find(|(known, _)| *known == word);
        let token = match known {
            Some((_, token)) => token.clone(),
            None => match number_of(word.as_bytes()) {
                Some(number) => Token::Operand(Operand::Number(number)),
                None => {
                    let shown = if word.is_empty() {
                        &self.rest[..first.len_utf8()]
                    } else {
                        word
                    };
                    return Err(format!(
                        "{shown:?} isn't a value: write \"text\", a number, or ${{name}}"
                    ));
                }
            },
        };
        self.rest = rest;
        Ok(Some(token))
    }
}

#[cfg(test)]
mod tests {
    use super::Condition;

    fn holds(text: &str) -> bool {
        let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{error}"));
        condition.holds(&mut |text| {
            let filled = text
                .replace("${n}", "10")
                .replace("${t}", "abc")
                .replace("${yes}", "true");
            filled.into_bytes()
        })
    }

    #[test]
    fn what_holds() {
        for text in [
            r#""${t}" == "abc""#,
            r#"'${t}' === "abc" && ${n} == 10"#,
            "${n} > 9",
            r#"${n} >= "10""#,
            r#""${n}" < "9""#,
            "${yes}",
            "${yes} == true",
            r#"${yes} == "true""#,
            r#"!("${t}" == "x") && !false"#,
            r#""x" == "y" || ${n} != 3.5"#,
            "${n} gt 9 and not (${n} le 9.99)",
            r#"${t} == "abc""#,
            "1e1 == ${n}",
            r#""${t}${n}" == "abc10""#,
            "-1 < 0",
        ] {
            assert!(holds(text), "{text}");
            assert!(!holds(&format!("!({text})")), "{text}");
        }
    }

    #[test]
    fn what_does_not() {
        for text in [
            r#""${t}" == "x""#,
            "${n} < 9",
            "${t}",
            "${n}",
            "${t} > 5",
            "false",
            r#""""#,
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            ("", "missing at its end"),
            ("x == 1", r#""x" isn't a value"#),
            (r#""a" == "b"#, r#"a " is missing"#),
            (r#"("a" == "b""#, "a ) is missing"),
            ("1 == 1 2", "2 isn't expected"),
            ("&& 1", "before &&"),
            ("1 == ", "missing at its end"),
            ("${n", "a } is missing"),
            ("1 = 1", r#""=" isn't a value"#),
            (&"(".repeat(1000), "more than 50"),
        ] {
            let error = Condition::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in r#"[-"'${}()!=<>&|a1 .é]{0,30}"#) {
            if let Ok(condition) = Condition::parse(&text) {
                condition.holds(&mut |text| text.as_bytes().to_vec());
            }
        }
    }
}
