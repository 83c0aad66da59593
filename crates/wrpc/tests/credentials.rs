//! Who we are to NATS, and whom we trust: right, wrong and missing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::{Certificates, NatsServer, Nkey, Operator, file};
use encarno_wrpc::http::RequestHead;
use encarno_wrpc::nats::{Connection, Given, Options, Tls, subject};
use encarno_wrpc::tls::ServerTls;
use encarno_wrpc::{Error, ErrorCode, Secret};

use rig::{Behaviour, call, list, server, within};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;

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
        credentials: Some(operator.credentials().into()),
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
        ca: Some(certificates.ca.clone().into()),
        ..Tls::default()
    };
    let client = |certificates: &Certificates| Tls {
        ca: Some(ours.ca.clone().into()),
        cert: Some(certificates.client.clone().into()),
        key: Some(certificates.client_key.clone().into()),
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
    for _ in 0..2 {
        // The first call may be made before the server has said so.
        let outcome = within(10, call(&connection, list(b"x"), 60_000)).await;
        let error = outcome.result.unwrap_err();
        assert_eq!(error.code, ErrorCode::Authentication, "{error}");
        assert!(error.message.contains("\"_INBOX."), "{error}");
    }

    options.inbox_prefix = "mine".into();
    let connection = Connection::connect(&options).await.unwrap();
    let outcome = within(10, call(&connection, list(b"x"), 5000)).await;
    assert_eq!(outcome.result, Ok(list(b"x")));

    // A function that this user may not call.
    let function = subject::function("other", "", "f").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let outcome = within(10, connection.call(function.clone(), list(b"x"), deadline)).await;
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code, ErrorCode::Authentication, "{error}");
    assert!(error.message.contains("\"other.wrpc.0.0.1.f\""), "{error}");
    let head = RequestHead {
        method: "GET".into(),
        ..RequestHead::default()
    };
    let outcome = within(10, connection.http(function, head, Bytes::new(), deadline)).await;
    assert_eq!(outcome.result.err().map(|error| error.code), REFUSED);
    // One that it may call isn't concerned.
    let outcome = within(10, call(&connection, list(b"x"), 5000)).await;
    assert_eq!(outcome.result, Ok(list(b"x")));
}

/// A receiver that may not subscribe says so, and not that it is ready.
#[tokio::test]
async fn a_receiver_without_its_subscriptions() {
    let nats = NatsServer::start_configured(
        "authorization { users: [\n\
         {user: no_inbox, password: hidden, permissions: {subscribe: [\"test.>\"]}},\n\
         {user: no_function, password: hidden, permissions: {subscribe: [\"_INBOX.>\"]}} ] }\n",
    );
    for (user, subject) in [
        ("no_inbox", "\"_INBOX."),
        ("no_function", "\"test.wrpc.0.0.1."),
    ] {
        let url = nats.url();
        let connection = try_connect(&url, password(user, "hidden"), Tls::default());
        let connection = connection.await.unwrap();
        let made = within(3, rig::try_server(connection, rig::limits())).await;
        let error = made.err().expect("refused");
        assert_eq!(error.code, ErrorCode::Authentication, "{error}");
        assert!(error.message.contains(subject), "{error}");
    }
}

/// Calls fail at once, and by the right name, when the server has ended the connection
/// since it accepts the credentials no more.
#[tokio::test]
async fn credentials_that_are_taken_back() {
    let users = |users: &str| format!("authorization {{ users: [ {users} ] }}\n");
    let both = "{user: me, password: hidden1}, {user: other, password: hidden2}";
    let config = file("taken-back.conf", &users(both));
    let nats = NatsServer::start_with(&["--config", config.to_str().unwrap()]);
    let url = nats.url();
    let connection = try_connect(&url, password("me", "hidden1"), Tls::default());
    let connection = connection.await.unwrap();
    let outcome = within(10, call(&connection, list(b"x"), 5000)).await;
    assert_eq!(
        outcome.result.err().map(|error| error.code),
        Some(ErrorCode::NoResponders)
    );

    std::fs::write(&config, users("{user: other, password: hidden2}")).unwrap();
    let pid = rustix::process::Pid::from_raw(nats.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let began = Instant::now();
    loop {
        let outcome = within(20, call(&connection, list(b"x"), 10_000)).await;
        let error = outcome.result.unwrap_err();
        match error.code {
            // Not yet, or in the instant in which it was cut.
            ErrorCode::NoResponders | ErrorCode::ConnectionLost => {}
            code => {
                assert_eq!(code, ErrorCode::Authentication, "{error}");
                assert!(!error.message.contains("hidden"), "{error}");
                break;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{error}");
    }
    // Known from then on.
    let (began, outcome) = (Instant::now(), call(&connection, list(b"x"), 10_000).await);
    assert_eq!(outcome.result.err().map(|error| error.code), REFUSED);
    assert!(began.elapsed() < Duration::from_secs(9));
}

/// A JWT that expires while it is used: the server says so, ends the connection, and lets
/// nobody in with it again. Calls fail by that name, also those that come later.
#[tokio::test]
async fn credentials_that_expire() {
    let operator = Operator::expiring_in(4);
    let nats = NatsServer::start_configured(&operator.config);
    let credentials = Given {
        credentials: Some(operator.credentials().into()),
        ..given()
    };
    let url = nats.url();
    let connection = try_connect(&url, credentials, Tls::default()).await;
    let connection = connection.expect("it hasn't expired yet");
    // Nobody serves the function. In the instant of the end a call may be lost, and within
    // the same second the server may let the connection in once more.
    let began = Instant::now();
    let mut in_turn = 0;
    while in_turn < 20 {
        let outcome = within(20, call(&connection, list(b"x"), 10_000)).await;
        let error = outcome.result.unwrap_err();
        in_turn += 1;
        match error.code {
            ErrorCode::Authentication => {
                assert!(error.message.contains("refuses the credentials"), "{error}");
            }
            ErrorCode::NoResponders | ErrorCode::ConnectionLost => in_turn = 0,
            _ => panic!("{error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // And whoever comes with them learns the same.
    let credentials = Given {
        credentials: Some(operator.credentials().into()),
        ..given()
    };
    assert_eq!(identify(&nats.url(), credentials).await, REFUSED);
}

/// Servers that speak TLS before they say anything.
#[tokio::test]
async fn tls_before_the_first_word() {
    let ours = Certificates::new();
    for first in ["true", "auto"] {
        let with = format!(", handshake_first: {first} }}");
        let mut nats = NatsServer::start_configured(&ours.config(false).replace('}', &with));
        let url = nats.url().replace("nats://", "tls://");
        let tls = Tls {
            ca: Some(ours.ca.clone().into()),
            ..Tls::default()
        };
        let connection = try_connect(&url, given(), tls).await.expect(first);
        nats.kill();
        nats.restart();
        let began = Instant::now();
        loop {
            let outcome = within(20, call(&connection, list(b"x"), 10_000)).await;
            let error = outcome.result.unwrap_err();
            if error.code == ErrorCode::NoResponders {
                break; // it is back
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{error}");
        }
    }
}

/// A server tells of another one's address, and the other one's certificate is for the name
/// by which the first is known.
#[tokio::test]
async fn servers_known_by_their_addresses_show_the_name_of_the_cluster() {
    let ours = Certificates::new();
    let [first, other] = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let url = format!("tls://localhost:{}", first.local_addr().unwrap().port());
    let gossip = format!("\"{}\"", other.local_addr().unwrap());
    let config = ServerTls {
        cert: ours.named.clone().into(),
        key: ours.named_key.clone().into(),
        client_ca: None,
    };
    let config = config.config().unwrap();
    // It is gone when the client has subscribed.
    let first = tokio::spawn(serve_one(first, Arc::clone(&config), gossip));
    let tls = Tls {
        ca: Some(ours.ca.clone().into()),
        ..Tls::default()
    };
    let connection = try_connect(&url, given(), tls).await.unwrap();
    first.await.unwrap();
    within(20, serve_one(other, config, String::new())).await;
    drop(connection);
}

/// What a server says of itself, and that it knows others.
fn info(others: &str) -> String {
    format!(
        "INFO {{\"server_id\":\"x\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\
         \"max_payload\":1048576,\"connect_urls\":[{others}]}}\r\n"
    )
}

/// A server with TLS that takes one connection, and knows others. It ends when the client
/// has subscribed.
async fn serve_one(listener: TcpListener, config: Arc<ServerConfig>, others: String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    drop(listener);
    stream.write_all(info(&others).as_bytes()).await.unwrap();
    let accepted = tokio_rustls::TlsAcceptor::from(config).accept(stream).await;
    let mut lines = BufReader::new(accepted.unwrap());
    let mut line = String::new();
    while !line.starts_with("PING") {
        line.clear();
        lines.read_line(&mut line).await.unwrap();
    }
    lines.write_all(b"PONG\r\n").await.unwrap();
    lines.flush().await.unwrap();
}

/// What a server tells of others doesn't lead to a connection without TLS.
#[tokio::test]
async fn tls_is_never_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tls://{}", listener.local_addr().unwrap());
    let gossip = format!("\"{}\"", other.local_addr().unwrap());
    let ours = Certificates::new();
    let config = ServerTls {
        cert: ours.server.clone().into(),
        key: ours.server_key.clone().into(),
        client_ca: None,
    };
    let config = config.config().unwrap();
    // It takes one connection, and is gone when the client has subscribed.
    tokio::spawn(serve_one(listener, config, gossip));
    let tls = Tls {
        ca: Some(ours.ca.clone().into()),
        // The URL asks for TLS, whatever this says.
        required: Some(false),
        ..Tls::default()
    };
    let connection = try_connect(&url, password("me", "hidden"), tls)
        .await
        .unwrap();
    let heard = async {
        let (mut stream, _) = other.accept().await.unwrap();
        stream.write_all(info("").as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap()
    };
    assert_eq!(within(20, heard).await, 0x16, "the first byte of TLS");
    drop(connection);
}

/// PEM and credentials may be given as text; what can't be used is never shown.
#[tokio::test]
async fn texts_instead_of_files() {
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let ours = Certificates::new();
    let mut nats = NatsServer::start_configured(&ours.config(true));
    let tls = Tls {
        ca: Some(read(&ours.ca).into()),
        cert: Some(read(&ours.client).into()),
        key: Some(read(&ours.client_key).into()),
        ..Tls::default()
    };
    let shown = format!("{tls:?}");
    assert!(!shown.contains("BEGIN"), "{shown}");
    let connection = try_connect(&nats.url(), given(), tls).await.unwrap();
    // They are there for reconnects, too.
    nats.kill();
    nats.restart();
    let began = Instant::now();
    loop {
        let outcome = within(20, call(&connection, list(b"x"), 5000)).await;
        let error = outcome.result.unwrap_err();
        if error.code == ErrorCode::NoResponders {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{error}");
    }

    let operator = Operator::new();
    let nats = NatsServer::start_configured(&operator.config);
    let credentials = Given {
        credentials: Some(read(&operator.credentials()).into()),
        ..given()
    };
    assert_eq!(identify(&nats.url(), credentials).await, None);

    let key = read(&ours.client_key);
    let body = key.lines().nth(1).unwrap();
    for cut in [key.replace("-----BEGIN", "----"), body.to_owned()] {
        let mut options = Options::new("nats://127.0.0.1:1").unwrap();
        options.tls.cert = Some(read(&ours.client).into());
        options.tls.key = Some(cut.clone().into());
        let invalid = options.check().expect_err("no key");
        let text = format!("{invalid:?} {options:?}");
        assert!(!text.contains(body), "{text}");
        let given = Given {
            credentials: Some(cut.into()),
            ..given()
        };
        let text = format!("{given:?} {:?}", given.clone().check());
        assert!(!text.contains(body), "{text}");
    }
}
