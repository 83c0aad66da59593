//! Identities: nkeys, JWTs and certificates, made for each test.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use serde_json::{Value, json};

use crate::scratch;

/// A user with an nkey.
pub struct Nkey(KeyPair);

impl Nkey {
    /// A new user.
    pub fn user() -> Self {
        Self(KeyPair::new_user())
    }

    /// Its secret.
    pub fn seed(&self) -> String {
        self.0.seed().expect("the seed of an own key")
    }

    /// Its public key, for servers.
    pub fn public(&self) -> String {
        self.0.public_key()
    }
}

/// An operator, an account and a user of it, each with a JWT.
pub struct Operator {
    /// The configuration of a server of this operator.
    pub config: String,
    /// The user's nkey.
    pub user: Nkey,
    /// The user's JWT.
    pub jwt: String,
}

impl Operator {
    /// A new operator.
    pub fn new() -> Self {
        Self::with_user(json!({}))
    }

    /// A new operator whose user's JWT expires after this many seconds.
    pub fn expiring_in(seconds: u64) -> Self {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH);
        let end = now.expect("a clock").as_secs() + seconds;
        Self::with_user(json!({ "exp": end }))
    }

    /// An operator whose user's JWT has these additional claims.
    fn with_user(claims: Value) -> Self {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let user = KeyPair::new_user();
        let anything = json!({"pub": {}, "sub": {}});
        let of_operator = jwt(
            &operator,
            &operator,
            json!({"type": "operator", "version": 2}),
            &json!({}),
        );
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1,
        });
        let of_account = jwt(
            &operator,
            &account,
            json!({
                "type": "account", "version": 2, "limits": limits,
                "default_permissions": anything,
            }),
            &json!({}),
        );
        let of_user = jwt(
            &account,
            &user,
            json!({
                "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
                "pub": {}, "sub": {},
            }),
            &claims,
        );
        let name = account.public_key();
        Self {
            config: format!(
                "operator: {of_operator}\nresolver: MEMORY\n\
                 resolver_preload: {{ {name}: {of_account} }}\n"
            ),
            user: Nkey(user),
            jwt: of_user,
        }
    }

    /// A credentials file, as `nsc` writes them.
    pub fn credentials(&self) -> PathBuf {
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            self.jwt,
            self.user.seed()
        );
        file("user.creds", &text)
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self::new()
    }
}

fn jwt(issuer: &KeyPair, subject: &KeyPair, of_nats: Value, more: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let mut claims = json!({
        "jti": "test", "iat": 1_700_000_000, "name": "test", "nats": of_nats,
        "iss": issuer.public_key(), "sub": subject.public_key(),
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    let body = encode(&claims);
    let signed = format!("{head}.{body}");
    let signature = issuer.sign(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Certificates of one authority, as PEM files.
pub struct Certificates {
    /// The certificate of the authority.
    pub ca: PathBuf,
    /// The certificate of a server, for 127.0.0.1 and localhost.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// The certificate of a server for localhost only, not for its address.
    pub named: PathBuf,
    /// Its key.
    pub named_key: PathBuf,
    /// The certificate of a client.
    pub client: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl Certificates {
    /// New certificates.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = || rcgen::KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let certificate = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let key = key();
            let certificate = CertificateParams::new(names)
                .and_then(|params| params.signed_by(&key, &issuer))
                .expect("a certificate");
            (
                file("certificate.pem", &certificate.pem()),
                file("key.pem", &key.serialize_pem()),
            )
        };
        let (server, server_key) = certificate(&["127.0.0.1", "localhost"]);
        let (named, named_key) = certificate(&["localhost"]);
        let (client, client_key) = certificate(&["client"]);
        Self {
            ca: file("ca.pem", &issuer.pem()),
            server,
            server_key,
            named,
            named_key,
            client,
            client_key,
        }
    }

    /// The configuration of nats-server that demands TLS; with `verify`, also
    /// certificates of clients.
    pub fn config(&self, verify: bool) -> String {
        let text = |path: &Path| path.display().to_string();
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {verify} }}\n",
            text(&self.server),
            text(&self.server_key),
            text(&self.ca)
        )
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

/// A file with this name and text, in a directory of its own.
pub fn file(name: &str, text: &str) -> PathBuf {
    let path = scratch("file").join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path
}
