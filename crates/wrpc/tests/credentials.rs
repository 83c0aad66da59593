//! Who we are to NATS, and whom we trust: right, wrong and missing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::time::Duration;

use encarno_test_peers::{Certificates, NatsServer, Nkey, Operator, file};
use encarno_wrpc::nats::{Connection, Given, Options, Secret, Tls};
use encarno_wrpc::{Error, ErrorCode};

use rig::{Behaviour, call, list, server, within};

fn secret(text: impl Into<String>) -> Option<Secret> {
    Some(Secret::new(text))
}

async fn try_connect(url: &str, given: Given, tls: Tls) -> Result<Connection, Error> {
    let mut options = Options::new(url).unwrap();
    options.identify(given).unwrap();
    options.tls = tls;
    options.check().unwrap();
    options.connect_timeout = Duration::from_secs(5);
    let shown = format!("{options:?}");
    assert!(
        !shown.contains("hidden") && !shown.contains("SU"),
        "{shown}"
    );
    within(10, Connection::connect(&options)).await
}

async fn identify(url: &str, given: Given) -> Option<ErrorCode> {
    let connected = try_connect(url, given, Tls::default()).await;
    if let Err(error) = &connected {
        assert!(!error.message.contains("hidden"), "{error}");
    }
    connected.err().map(|error| error.code)
}

fn given() -> Given {
    Given::default()
}

fn password(user: &str, password: &str) -> Given {
    Given {
        user: Some(user.into()),
        password: secret(password),
        ..given()
    }
}

const REFUSED: Option<ErrorCode> = Some(ErrorCode::Authentication);

#[tokio::test]
async fn passwords_and_tokens() {
    let nats = NatsServer::start_configured(
        "authorization { users: [ {user: me, password: hidden1} ] }\n",
    );
    let url = nats.url();
    assert_eq!(identify(&url, password("me", "hidden1")).await, None);
    assert_eq!(identify(&url, password("me", "hidden2")).await, REFUSED);
    assert_eq!(identify(&url, password("you", "hidden1")).await, REFUSED);
    assert_eq!(identify(&url, given()).await, REFUSED);

    let nats = NatsServer::start_configured("authorization { token: hidden1 }\n");
    let token = |text: &str| Given {
        token: secret(text),
        ..given()
    };
    assert_eq!(identify(&nats.url(), token("hidden1")).await, None);
    assert_eq!(identify(&nats.url(), token("hidden2")).await, REFUSED);
}

#[tokio::test]
async fn nkeys() {
    let (known, unknown) = (Nkey::user(), Nkey::user());
    let nats = NatsServer::start_configured(&format!(
        "authorization {{ users: [ {{nkey: {}}} ] }}\n",
        known.public()
    ));
    let nkey = |text: String| Given {
        nkey: secret(text),
        ..given()
    };
    let in_a_file = file("user.nk", &format!("# a comment\n{}\n", known.seed()));
    let in_a_file = in_a_file.to_str().unwrap().to_owned();
    let url = nats.url();
    assert_eq!(identify(&url, nkey(known.seed())).await, None);
    assert_eq!(identify(&url, nkey(in_a_file)).await, None);
    assert_eq!(identify(&url, nkey(unknown.seed())).await, REFUSED);
    assert_eq!(identify(&url, given()).await, REFUSED);
}

#[tokio::test]
async fn jwts() {
    let (known, unknown) = (Operator::new(), Operator::new());
    let nats = NatsServer::start_configured(&known.config);
    let url = nats.url();
    let credentials = |operator: &Operator| Given {
        credentials: Some(operator.credentials()),
        ..given()
    };
    let jwt = |seed: String, jwt: &str| Given {
        nkey: secret(seed),
        jwt: secret(jwt),
        ..given()
    };
    assert_eq!(identify(&url, credentials(&known)).await, None);
    assert_eq!(identify(&url, credentials(&unknown)).await, REFUSED);
    assert_eq!(
        identify(&url, jwt(known.user.seed(), &known.jwt)).await,
        None
    );
    assert_eq!(
        identify(&url, jwt(unknown.user.seed(), &known.jwt)).await,
        REFUSED
    );
    assert_eq!(identify(&url, given()).await, REFUSED);
}

#[tokio::test]
async fn certificates() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let trusting = |certificates: &Certificates| Tls {
        ca: Some(certificates.ca.clone()),
        ..Tls::default()
    };
    let client = |certificates: &Certificates| Tls {
        ca: Some(ours.ca.clone()),
        cert: Some(certificates.client.clone()),
        key: Some(certificates.client_key.clone()),
        ..Tls::default()
    };
    let open = NatsServer::start_configured(&ours.config(false));
    let strict = NatsServer::start_configured(&ours.config(true));
    let plain = NatsServer::start();
    let required = Tls {
        required: Some(true),
        ..Tls::default()
    };
    let not_required = Tls {
        required: Some(false),
        ..trusting(&ours)
    };
    const FAILED: Option<ErrorCode> = Some(ErrorCode::TlsFailure);
    for (what, server, tls, expected) in [
        ("our CA", &open, trusting(&ours), None),
        ("another CA", &open, trusting(&theirs), FAILED),
        ("the system's CAs", &open, Tls::default(), FAILED),
        ("our certificate", &strict, client(&ours), None),
        ("another certificate", &strict, client(&theirs), FAILED),
        ("no certificate", &strict, trusting(&ours), FAILED),
        ("a plain server", &plain, required, FAILED),
        ("a plain server, a CA", &plain, trusting(&ours), FAILED),
        ("a plain server allowed", &plain, not_required, None),
    ] {
        let connected = try_connect(&server.url(), given(), tls).await;
        let code = connected.as_ref().err().map(|error| error.code);
        assert_eq!(code, expected, "{what}: {:?}", connected.err());
    }
    let by_name = open.url().replace("127.0.0.1", "localhost");
    assert!(
        try_connect(&by_name, given(), trusting(&ours))
            .await
            .is_ok()
    );
}

/// A user who may only use some subjects, and says which inbox is his.
#[tokio::test]
async fn permissions() {
    let nats = NatsServer::start_configured(
        "authorization { users: [\n\
         {user: receiver, password: hidden},\n\
         {user: caller, password: hidden, permissions: {\n\
           publish: [\"test.>\", \"_INBOX.>\"], subscribe: [\"mine.>\"]}} ] }\n",
    );
    let url = nats.url();
    let connection = try_connect(&url, password("receiver", "hidden"), Tls::default())
        .await
        .unwrap();
    let server = server(connection, rig::limits()).await;
    tokio::spawn(server.run(std::future::pending(), |invocation| {
        tokio::spawn(rig::answer(invocation, Behaviour::Echo));
    }));
    let mut options = Options::new(&url).unwrap();
    options.identify(password("caller", "hidden")).unwrap();
    let connection = Connection::connect(&options).await.unwrap();
    let outcome = within(10, call(&connection, list(b"x"), 500)).await;
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code, ErrorCode::Timeout);
    assert!(error.message.contains("Permissions Violation"), "{error}");

    options.inbox_prefix = "mine".into();
    let connection = Connection::connect(&options).await.unwrap();
    let outcome = within(10, call(&connection, list(b"x"), 5000)).await;
    assert_eq!(outcome.result, Ok(list(b"x")));
}
