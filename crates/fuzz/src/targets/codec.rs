//! Values between the wire and a guest.

use std::sync::LazyLock;

use encarno_receiver::fuzz::Echo;

static ECHO: LazyLock<Option<Echo>> = LazyLock::new(|| {
    let component = wat::parse_str(include_str!("echo.wat")).ok()?;
    Echo::new(&component).ok()
});

/// Decodes any bytes as the parameters of a function. The codec without wasmtime must agree
/// on whether they are a value.
pub(crate) fn parameters(bytes: &[u8]) {
    let echo = ECHO.as_ref();
    let is_value = echo.map(|echo| echo.is_value(bytes));
    assert_eq!(is_value, Some(super::json::is_value(bytes)));
    let outcome = echo.map(|echo| echo.parameters(bytes));
    assert!(
        matches!(outcome, Some(Ok(()))),
        "the component can't be called"
    );
}
