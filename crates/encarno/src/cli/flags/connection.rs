//! Connections and TLS.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use encarno_nib::{HEAD_BYTES_MAX, NetworkSettings, TlsSettings};
use encarno_secret::FileOrText;

use super::duration;
use crate::cli::Failure;
use crate::url_text::UrlText;

/// How connections are made, and what they must fulfil.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connections and TLS")]
pub(crate) struct ConnectionArguments {
    /// Fail a hit that takes longer than this.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Connect to this HTTP proxy: http://[USER:PASSWORD@]HOST:PORT.
    #[arg(
        short = 'x',
        long,
        value_name = "URL",
        conflicts_with = "resolve_every"
    )]
    proxy: Option<UrlText>,
    /// Connect from this address. Several are taken in turn.
    #[arg(long = "source-address", value_name = "IP")]
    source_addresses: Vec<IpAddr>,
    /// Connect to these addresses instead of looking the name up.
    #[arg(long = "resolve", value_name = "NAME=IP,…", value_parser = known_host)]
    hosts: Vec<(String, Vec<IpAddr>)>,
    /// Look names up again after this time [default: look them up once].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    resolve_every: Option<Duration>,
    /// Refuse responses whose head is longer than this.
    #[arg(long, value_name = "BYTES", default_value_t = HEAD_BYTES_MAX)]
    max_head_bytes: usize,
    /// Accept any certificate.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the certificates in this PEM file instead of the system's. It can also be the text
    /// itself.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    ca_file: Option<FileOrText>,
    /// The client's certificate chain, as a PEM file.
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        allow_hyphen_values = true
    )]
    certificate: Option<FileOrText>,
    /// The client's key, as a PEM file.
    #[arg(
        long,
        value_name = "FILE",
        requires = "certificate",
        allow_hyphen_values = true
    )]
    key: Option<FileOrText>,
    /// Make a full TLS handshake for each connection.
    #[arg(long)]
    no_tls_resumption: bool,
    /// Ask for this server name, and verify it, instead of the URL's.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
}

impl ConnectionArguments {
    /// Whether any certificate is accepted.
    pub(crate) fn accepts_any_certificate(&self) -> bool {
        self.insecure
    }

    /// The settings of hits that go to this address, unless a record names another one.
    /// They keep `keep_answer_bytes_max` bytes of each answer.
    pub(crate) fn settings(
        &self,
        address: Option<String>,
        keep_answer_bytes_max: usize,
    ) -> Result<NetworkSettings, Failure> {
        // clap would show a value that it refuses, and the proxy may contain a password.
        // So it is checked here.
        let proxy = self.proxy.as_ref().map(UrlText::proxy).transpose();
        let proxy = proxy.map_err(|reason| Failure::usage(format!("--proxy: {reason}")))?;
        Ok(NetworkSettings {
            address,
            timeout: self.timeout,
            source_addresses: self.source_addresses.clone(),
            hosts: self.hosts.iter().cloned().collect(),
            resolve_every: self.resolve_every,
            head_bytes_max: self.max_head_bytes,
            proxy,
            tls: TlsSettings {
                insecure: self.insecure,
                ca_file: self.ca_file.clone(),
                certificate_file: self.certificate.clone(),
                key_file: self.key.clone(),
                server_name: self.server_name.clone(),
                no_resumption: self.no_tls_resumption,
                ..TlsSettings::default()
            },
            keep_answer_bytes_max,
        })
    }
}

fn known_host(text: &str) -> Result<(String, Vec<IpAddr>), String> {
    let shape = || "expected NAME=IP, or several addresses with commas between them".to_owned();
    let (name, addresses) = text.split_once('=').ok_or_else(shape)?;
    let addresses = addresses
        .split(',')
        .map(|ip| ip.parse().map_err(|_| shape()));
    Ok((
        name.to_ascii_lowercase(),
        addresses.collect::<Result<_, _>>()?,
    ))
}
