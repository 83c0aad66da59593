//! Values between JSON and the wire.

use std::sync::LazyLock;

use encarno_wrpc_value::{Function, Interfaces, Source};

/// `echo` returns the list that it is given. Its elements have every kind of type.
static ECHO: LazyLock<Option<Function>> = LazyLock::new(|| {
    let source = Source::new("echo.wit", include_str!("echo.wit"));
    let interfaces = Interfaces::parse(&[source]).ok()?;
    interfaces.function("test:echo/echo.echo").ok().cloned()
});

fn echo() -> &'static Function {
    match &*ECHO {
        Some(echo) => echo,
        None => panic!("the function isn't declared"),
    }
}

/// Any bytes as results: those that are a value come back from JSON as the same, and what
/// is looked at first agrees. Any text as arguments: those that can be encoded are a value.
pub(crate) fn values(bytes: &[u8]) {
    let mut text = Vec::new();
    let decoded = echo().decode_results(bytes, &mut text, usize::MAX);
    assert_eq!(decoded, echo().check_results(bytes));
    if decoded.is_ok() {
        let encoded = encoded(&text);
        let mut again = Vec::new();
        assert_eq!(
            echo().decode_results(&encoded, &mut again, usize::MAX),
            Ok(())
        );
        assert_eq!(again, text);
    }
    if let Ok(encoded) = echo().encode_json(bytes) {
        assert_eq!(echo().check_results(&encoded), Ok(()));
    }
}

fn encoded(text: &[u8]) -> Vec<u8> {
    match echo().encode_json(text) {
        Ok(encoded) => encoded,
        Err(error) => panic!("{error}: {}", text.escape_ascii()),
    }
}

/// Whether the bytes are a value, as this side sees it.
#[cfg(feature = "receiver")]
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    echo().check_results(bytes).is_ok()
}
