//! The options of a NATS connection, from the command line and the environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use encarno_wrpc::Secret;
use encarno_wrpc::nats::{Given, Invalid, Options, Tls};
use wasmtime::error::Context as _;
use wasmtime::{Result, format_err};

use crate::durations;

/// The options of the connection. Secrets come from files or the environment, because
/// other users can see a command line.
#[derive(Args)]
pub(crate) struct ConnectionArgs {
    /// The NATS server, or several, separated by commas.
    #[arg(
        short,
        long,
        value_name = "URL",
        default_value = "nats://127.0.0.1:4222"
    )]
    nats: String,
    /// The name that the server's monitoring shows.
    #[arg(long, default_value = "wrpc-wasmtime-nats")]
    name: String,
    /// The user. Give the password in NATS_PASSWORD or in a file.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file that contains the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A file that contains a token. NATS_TOKEN can contain it instead.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A credentials file: a JWT and the seed of its nkey.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    creds: Option<PathBuf>,
    /// A file that contains the seed of an nkey. NATS_NKEY can contain it instead.
    #[arg(long, value_name = "FILE")]
    nkey: Option<PathBuf>,
    /// A file that contains a JWT, for which the nkey signs. NATS_JWT can contain it instead.
    #[arg(long, value_name = "FILE")]
    jwt: Option<PathBuf>,
    /// Refuse connections without TLS. The options below imply it.
    #[arg(long)]
    tls: bool,
    /// Trust these certificates instead of the system's: a PEM file.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    tls_ca: Option<PathBuf>,
    /// The receiver's own certificate: a PEM file.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    tls_cert: Option<PathBuf>,
    /// The key of --tls-cert: a PEM file.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    tls_key: Option<PathBuf>,
    /// The beginning of the subjects on which answers arrive.
    #[arg(long, value_name = "PREFIX", default_value = "_INBOX")]
    inbox_prefix: String,
    /// How long an attempt to connect may take.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = durations::parse)]
    connect_timeout: Duration,
    /// How often to ping the server. After three pings without an answer the receiver gives up
    /// the connection.
    #[arg(long, value_name = "DURATION", default_value = "1500ms", value_parser = durations::parse)]
    ping_interval: Duration,
    /// Attempts to restore a lost connection, before the receiver ends [default: unlimited].
    #[arg(long, value_name = "N")]
    max_reconnects: Option<usize>,
    /// The longest pause between such attempts.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = durations::parse)]
    reconnect_delay: Duration,
}

impl ConnectionArgs {
    /// The options; the error says what is wrong with them.
    pub(crate) fn options(&self) -> Result<Options> {
        let mut options = Options::new(&self.nats)?;
        options.name.clone_from(&self.name);
        options.inbox_prefix.clone_from(&self.inbox_prefix);
        options.connect_timeout = self.connect_timeout;
        options.ping_interval = self.ping_interval;
        options.max_reconnects = self.max_reconnects;
        options.reconnect_delay = self.reconnect_delay;
        options.tls = Tls {
            ca: self.tls_ca.clone().map(Into::into),
            cert: self.tls_cert.clone().map(Into::into),
            key: self.tls_key.clone().map(Into::into),
            required: self.tls.then_some(true),
        };
        options.identify(self.given()?).map_err(invalid)?;
        options.check().map_err(invalid)?;
        Ok(options)
    }

    /// The environment is used if the command line has no credentials.
    fn given(&self) -> Result<Given> {
        let path = |file: &Option<PathBuf>| {
            let file = file.as_deref()?;
            Some(Secret::new(file.to_string_lossy()))
        };
        let mut given = Given {
            user: self.user.clone(),
            password: content("--password-file", self.password_file.as_deref())?,
            token: content("--token-file", self.token_file.as_deref())?,
            credentials: self.creds.clone().map(Into::into),
            nkey: path(&self.nkey),
            jwt: path(&self.jwt),
        };
        if given.user.is_some() {
            given.password = given.password.or_else(|| variable("NATS_PASSWORD"));
        }
        let is_named = given.user.is_some()
            || given.token.is_some()
            || given.credentials.is_some()
            || given.nkey.is_some();
        if !is_named {
            given.token = variable("NATS_TOKEN");
            given.nkey = variable("NATS_NKEY");
        }
        if given.nkey.is_some() {
            given.jwt = given.jwt.or_else(|| variable("NATS_JWT"));
        }
        Ok(given)
    }
}

fn variable(name: &str) -> Option<Secret> {
    let text = std::env::var(name).ok()?;
    (!text.is_empty()).then(|| Secret::new(text))
}

fn content(option: &str, file: Option<&Path>) -> Result<Option<Secret>> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{option}: cannot read {}", file.display()))?;
    let text = text.trim_start_matches('\u{feff}');
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
}

fn invalid(invalid: Invalid) -> wasmtime::Error {
    let option = match invalid.option {
        "url" => "nats".to_owned(),
        "password" => "password-file".to_owned(),
        "token" => "token-file".to_owned(),
        "credentials" => "creds".to_owned(),
        other => other.replace(['.', '_'], "-"),
    };
    format_err!("--{option}: {}", invalid.reason)
}
