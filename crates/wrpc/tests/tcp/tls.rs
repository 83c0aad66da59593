//! TLS: who is trusted, and who isn't.

use std::path::{Path, PathBuf};

use encarno_test_peers::scratch;
use encarno_wrpc::tcp::serve::Settings;
use encarno_wrpc::tcp::{Options, Remote};
use encarno_wrpc::tls::{ClientTls, ServerTls};
use encarno_wrpc::{Error, ErrorCode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::rig::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(folder: &Path, name: &str) -> (Authority, PathBuf) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = folder.join(format!("{name}.pem"));
    std::fs::write(&file, authority.as_ref().pem()).unwrap();
    (authority, file)
}

/// The files of a certificate for `name` and of its key.
fn certificate(folder: &Path, name: &str, by: &Authority, expired: bool) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let base = folder.join(format!("{name}{}", if expired { "-expired" } else { "" }));
    signed(&base, params, by)
}

fn signed(base: &Path, params: CertificateParams, by: &Authority) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, by).unwrap();
    let (cert, key_file) = (base.with_extension("crt"), base.with_extension("key"));
    std::fs::write(&cert, signed.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (cert, key_file)
}

async fn start(certificate: &(PathBuf, PathBuf), client_ca: Option<PathBuf>) -> Echo {
    let tls = ServerTls {
        cert: certificate.0.clone().into(),
        key: certificate.1.clone().into(),
        client_ca: client_ca.map(Into::into),
    };
    let settings = Settings {
        tls: Some(tls),
        header_timeout: std::time::Duration::from_secs(5),
        ..settings()
    };
    Echo::start_with("127.0.0.1:0", settings).await
}

fn clients(server: &Echo, tls: ClientTls) -> [Remote; 2] {
    both(Options {
        tls: Some(tls),
        ..server.options()
    })
}

async fn trusted(server: &Echo, tls: &ClientTls) {
    for client in clients(server, tls.clone()) {
        for size in [0, 5, 100_000, 3_000_000] {
            echoes(&client, &vec![1; size]).await;
        }
    }
}

async fn distrusted(server: &Echo, tls: &ClientTls, about: &str) {
    for client in clients(server, tls.clone()) {
        let error = error(call(&client, "echo", list(b""), 5000).await);
        assert_eq!(error.code, ErrorCode::TlsFailure, "{error}");
        assert!(error.message.contains(about), "{error}");
        assert!(error.message.contains(client.peer()), "{error}");
    }
}

#[tokio::test]
async fn who_is_trusted() {
    let folder = scratch("tls");
    let (ours, ours_file) = authority(&folder, "ours");
    let (_, others_file) = authority(&folder, "others");
    let server = start(&certificate(&folder, "127.0.0.1", &ours, false), None).await;
    let tls = ClientTls {
        ca: Some(ours_file.clone().into()),
        ..ClientTls::default()
    };
    trusted(&server, &tls).await;
    let insecure = ClientTls {
        insecure_skip_verify: true,
        ..ClientTls::default()
    };
    trusted(&server, &insecure).await;
    let others = ClientTls {
        ca: Some(others_file.into()),
        ..ClientTls::default()
    };
    distrusted(&server, &others, "isn't trusted").await;

    let named = start(
        &certificate(&folder, "receiver.example", &ours, false),
        None,
    )
    .await;
    distrusted(&named, &tls, "but for receiver.example").await;
    let by_name = ClientTls {
        server_name: Some("receiver.example".into()),
        ..tls.clone()
    };
    trusted(&named, &by_name).await;

    let expired = start(&certificate(&folder, "127.0.0.1", &ours, true), None).await;
    distrusted(&expired, &tls, "certificate has expired").await;
}

#[tokio::test]
async fn callers_that_must_show_who_they_are() {
    let folder = scratch("mutual-tls");
    let (ours, ours_file) = authority(&folder, "ours");
    let own = certificate(&folder, "127.0.0.1", &ours, false);
    let server = start(&own, Some(ours_file.clone())).await;
    let nobody = ClientTls {
        ca: Some(ours_file.into()),
        ..ClientTls::default()
    };
    for client in clients(&server, nobody.clone()) {
        // With TLS 1.3 a caller learns it after its own handshake.
        let error = error(call(&client, "echo", list(b""), 5000).await);
        let expected = [ErrorCode::TlsFailure, ErrorCode::ConnectionLost];
        assert!(expected.contains(&error.code), "{}: {error}", error.code);
    }
    let shows = |(cert, key): (PathBuf, PathBuf)| ClientTls {
        cert: Some(cert.into()),
        key: Some(key.into()),
        ..nobody.clone()
    };
    let somebody = shows(certificate(&folder, "caller", &ours, false));
    trusted(&server, &somebody).await;
    // One whose key is for something else.
    let mut params = CertificateParams::new(["caller".to_owned()]).unwrap();
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyEncipherment];
    let misused = shows(signed(&folder.join("misused"), params, &ours));
    for client in clients(&server, misused) {
        let error = error(call(&client, "echo", list(b""), 5000).await);
        let expected = [ErrorCode::TlsFailure, ErrorCode::ConnectionLost];
        assert!(expected.contains(&error.code), "{}: {error}", error.code);
    }
}

#[tokio::test]
async fn one_end_without_tls() {
    let folder = scratch("half-tls");
    let (ours, _) = authority(&folder, "ours");
    let encrypted = start(&certificate(&folder, "127.0.0.1", &ours, false), None).await;
    for client in encrypted.clients() {
        let error = error(call(&client, "echo", list(b"hello"), 5000).await);
        assert_eq!(error.code, ErrorCode::ProtocolViolation, "{error}");
    }
    let plain = Echo::start().await;
    let insecure = ClientTls {
        insecure_skip_verify: true,
        ..ClientTls::default()
    };
    distrusted(&plain, &insecure, "speak TLS").await;
}

#[test]
fn files_that_are_wrong() {
    let folder = scratch("tls-files");
    let (ours, ours_file) = authority(&folder, "ours");
    let (cert, key) = certificate(&folder, "a", &ours, false);
    let (_, other_key) = certificate(&folder, "b", &ours, false);
    let missing = folder.join("missing.pem");
    let empty = folder.join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let says = |found: Result<(), Error>, about: &Path| {
        let error = found.expect_err("wrong files");
        assert_eq!(error.code, ErrorCode::TlsFailure);
        assert!(
            error.message.contains(&about.display().to_string()),
            "{error}"
        );
    };
    for file in [&missing, &empty, &key] {
        let client = ClientTls {
            ca: Some(file.clone().into()),
            ..ClientTls::default()
        };
        says(client.config().map(drop), file);
        let server = ServerTls {
            cert: file.clone().into(),
            key: key.clone().into(),
            client_ca: None,
        };
        says(server.config().map(drop), file);
    }
    for (cert, key, about) in [(&cert, &missing, &missing), (&cert, &other_key, &cert)] {
        let server = ServerTls {
            cert: cert.clone().into(),
            key: key.clone().into(),
            client_ca: Some(ours_file.clone().into()),
        };
        says(server.config().map(drop), about);
    }
    let half = ClientTls {
        cert: Some(cert.into()),
        ..ClientTls::default()
    };
    assert!(half.config().expect_err("no key").message.contains("key"));
}
