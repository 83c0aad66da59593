//! The cookies of one worker, as a browser keeps them (RFC 6265).

use cookie_store::CookieStore;
use encarno_nib::address::is_local;
use url::Url;

/// The most cookies, as in browsers; more can only come from a hostile peer.
const COOKIES_MAX: usize = 300;
const COOKIE_BYTES_MAX: usize = 4096;

/// A worker's jar.
#[derive(Debug, Default)]
pub(super) struct Jar {
    store: CookieStore,
    count: usize,
}

impl Jar {
    pub(super) fn clear(&mut self) {
        if self.count > 0 {
            self.store.clear();
            self.count = 0;
        }
    }

    /// Takes a Set-Cookie header. Like browsers, this ignores cookies that aren't
    /// allowed. Cookies with control characters are among them, because they would be
    /// sent again.
    pub(super) fn take(&mut self, header: &[u8], url: &Url) {
        let is_control = |&byte: &u8| byte.is_ascii_control() && byte != b'\t';
        if header.len() > COOKIE_BYTES_MAX || header.iter().any(is_control) {
            return;
        }
        if self.count >= COOKIES_MAX {
            self.count = self.store.iter_unexpired().count();
            if self.count >= COOKIES_MAX {
                return;
            }
        }
        let text = String::from_utf8_lossy(header);
        if self.store.parse(&text, url).is_ok() {
            self.count += 1;
        }
    }

    /// Writes the Cookie header for a URL; false if there is none. `is_private` means
    /// that the request is encrypted or stays on this machine. Only then are Secure
    /// cookies sent, as browsers and curl do.
    pub(super) fn write(&self, url: &Url, is_private: bool, out: &mut String) -> bool {
        out.clear();
        if self.count == 0 {
            return false;
        }
        for cookie in self.store.matches(url) {
            if cookie.secure() == Some(true) && !is_private {
                continue;
            }
            let (name, value) = cookie.name_value();
            if !out.is_empty() {
                out.push_str("; ");
            }
            out.push_str(name);
            out.push('=');
            out.push_str(value);
        }
        !out.is_empty()
    }
}

/// Whether a request to this address is private: encrypted, or within this machine. The
/// URL alone doesn't show it, because a request may claim any Host.
pub(super) fn is_private(url: &Url, address: &str) -> bool {
    url.scheme() == "https" || is_local(address)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{COOKIES_MAX, Jar, is_private};

    fn sent(jar: &Jar, url: &str) -> String {
        let mut out = String::new();
        let url = Url::parse(url).expect("a URL");
        jar.write(&url, is_private(&url, url.as_str()), &mut out);
        let mut cookies: Vec<_> = out.split("; ").collect();
        cookies.sort_unstable();
        cookies.join("; ")
    }

    #[test]
    fn path_host_and_end_are_kept_to() {
        let mut jar = Jar::default();
        let url = Url::parse("http://a.test:8080/dir/page").expect("a URL");
        for header in [
            "root=1; Path=/",
            "here=2",
            "wide=3; Domain=a.test; Path=/",
            "other=4; Domain=b.test",
            "safe=5; Secure; Path=/",
        ] {
            jar.take(header.as_bytes(), &url);
        }
        assert_eq!(sent(&jar, "http://a.test/dir/x"), "here=2; root=1; wide=3");
        assert_eq!(sent(&jar, "http://a.test/"), "root=1; wide=3");
        assert_eq!(sent(&jar, "http://sub.a.test/"), "wide=3");
        assert_eq!(sent(&jar, "http://b.test/"), "");
        jar.take(b"root=1; Path=/; Max-Age=0", &url);
        assert_eq!(sent(&jar, "http://a.test/"), "wide=3");
        jar.clear();
        assert_eq!(sent(&jar, "http://a.test/"), "");
    }

    #[test]
    fn secure_cookies_go_where_browsers_send_them() {
        let mut jar = Jar::default();
        for host in ["a.test", "127.0.0.1", "localhost"] {
            let url = Url::parse(&format!("https://{host}/")).expect("a URL");
            jar.take(b"safe=1; Secure; Path=/", &url);
        }
        for (url, address, goes) in [
            ("https://a.test/", "https://10.0.0.1", true),
            ("http://a.test/", "http://10.0.0.1", false),
            ("http://127.0.0.1:80/", "http://127.0.0.1:80", true),
            ("http://localhost/", "http://localhost", true),
            // The Host claims to be local, but the address isn't.
            ("http://localhost/", "http://10.0.0.1", false),
        ] {
            let parsed = Url::parse(url).expect("a URL");
            let mut out = String::new();
            jar.write(&parsed, is_private(&parsed, address), &mut out);
            assert_eq!(out == "safe=1", goes, "{url} at {address}");
        }
    }

    #[test]
    fn control_characters_are_not_sent_again() {
        let mut jar = Jar::default();
        let url = Url::parse("http://a.test/").expect("a URL");
        for header in ["a\0=1", "b=1\r2", "c=\x7f", "d=1"] {
            jar.take(header.as_bytes(), &url);
        }
        assert_eq!(sent(&jar, "http://a.test/"), "d=1");
    }

    #[test]
    fn a_jar_is_bounded() {
        let mut jar = Jar::default();
        let url = Url::parse("http://a.test/").expect("a URL");
        for number in 0..2 * COOKIES_MAX {
            jar.take(format!("c{number}=x").as_bytes(), &url);
        }
        jar.take(format!("long={}", "x".repeat(5000)).as_bytes(), &url);
        assert_eq!(
            sent(&jar, "http://a.test/").split("; ").count(),
            COOKIES_MAX
        );
    }
}
