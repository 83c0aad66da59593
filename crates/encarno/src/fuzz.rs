//! The entry points of the fuzz targets.

use encarno_nib::NetworkProtocol as _;
use encarno_nib::address::Address;
use encarno_nibs::http::HttpProtocol;

use crate::url_text::{HeaderText, UrlText, ValueText};

/// Parses a URL, a header and a value of an argument. The result never has a line end
/// where it would start another line.
pub fn url(text: &str) {
    let Ok(url) = text.parse::<UrlText>();
    let _ = format!("{url:?}");
    if let Ok(target) = url.target(HttpProtocol::KIND) {
        for part in [&target.host, &target.path] {
            assert!(!part.contains(['\r', '\n']), "{part:?}");
        }
        let _ = Address::parse(&target.address, HttpProtocol::KIND.schemes);
    }
    let Ok(header) = text.parse::<HeaderText>();
    if let Ok((name, value)) = header.parts() {
        assert!(!name.contains([':', '\r', '\n']), "{name:?}");
        assert!(!value.expose().contains(['\r', '\n']));
    }
    let Ok(value) = text.parse::<ValueText>();
    let _ = value.parts();
}
