//! Parses queries.

/// The parts of a query, with `%xx` decoded.
pub(crate) fn parts(query: &str) -> Vec<String> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(decode)
        .collect()
}

fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                rest = &after[2..];
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_are_decoded() {
        assert_eq!(
            parts("a=b%3B%20Path=/&&c=%zz%4"),
            ["a=b; Path=/", "c=%zz%4"]
        );
        assert!(parts("").is_empty());
    }
}
