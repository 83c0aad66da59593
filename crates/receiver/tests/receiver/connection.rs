//! Who the receiver is to NATS: by flags, files and the environment, and never in a log.

use encarno_test_peers::{Certificates, NatsServer, Nkey, Operator, file};
use rustix::process::Signal;

use crate::guests;
use crate::program::{Receiver, run, run_with};

fn text(path: &std::path::Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_kind_of_credentials() {
    let worker = guests::worker();
    let (nkey, operator, certificates) = (Nkey::user(), Operator::new(), Certificates::new());
    let user = "authorization { users: [ {user: me, password: hidden} ] }\n";
    let users = format!(
        "authorization {{ users: [ {{nkey: {}}} ] }}\n",
        nkey.public()
    );
    let password = text(&file("password", "hidden\n"));
    let seed = text(&file("user.nk", &nkey.seed()));
    let seed_of_jwt = text(&file("user.nk", &operator.user.seed()));
    let jwt = text(&file("user.jwt", &operator.jwt));
    let creds = text(&operator.credentials());
    let [ca, cert, key] = [
        &certificates.ca,
        &certificates.client,
        &certificates.client_key,
    ]
    .map(|path| text(path));
    let secrets = [
        "hidden".into(),
        nkey.seed(),
        operator.user.seed(),
        operator.jwt.clone(),
    ];
    for (config, arguments, environment) in [
        (
            user,
            vec!["--user", "me", "--password-file", &password],
            None,
        ),
        (
            user,
            vec!["--user", "me"],
            Some(("NATS_PASSWORD", "hidden")),
        ),
        (
            "authorization { token: hidden }\n",
            vec!["--token-file", &password],
            None,
        ),
        (
            "authorization { token: hidden }\n",
            vec![],
            Some(("NATS_TOKEN", "hidden")),
        ),
        (&users, vec!["--nkey", &seed], None),
        (&users, vec![], Some(("NATS_NKEY", &*nkey.seed()))),
        (&operator.config, vec!["--creds", &creds], None),
        (
            &operator.config,
            vec!["--nkey", &seed_of_jwt, "--jwt", &jwt],
            None,
        ),
        (
            &certificates.config(true),
            vec!["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key],
            None,
        ),
    ] {
        let nats = NatsServer::start_configured(config);
        let environment: Vec<_> = environment
            .into_iter()
            .chain([("RUST_LOG", "trace")])
            .collect();
        // Without them the server, or its certificate, refuses.
        let (code, stderr) = run(&nats.url(), &["i", "e", worker.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{stderr}");
        let mut receiver = Receiver::start_with(&nats.url(), &worker, &arguments, &environment);
        receiver.signal(Signal::TERM);
        assert_eq!(receiver.wait().code(), Some(0), "{}", receiver.stderr());
        let log = receiver.stderr();
        assert!(log.contains("TRACE"), "the log of all there is: {log}");
        for secret in &secrets {
            assert!(!log.contains(secret), "{arguments:?}: {secret} in {log}");
        }
    }
}

#[test]
fn what_is_wrong_is_named_and_secrets_are_not_shown() {
    let worker = guests::worker();
    let worker = worker.to_str().unwrap();
    let nats = NatsServer::start();
    let secret = text(&file("secret", "hidden"));
    for (arguments, environment, about) in [
        (
            vec!["--user", "me"],
            None,
            "--user: the password is missing",
        ),
        (
            vec!["--user", "me", "--token-file", &secret],
            Some(("NATS_PASSWORD", "hidden")),
            "--token-file: user is given already",
        ),
        (
            vec!["--password-file", &secret],
            None,
            "--password-file: the user",
        ),
        (
            vec!["--token-file", "/no/such"],
            None,
            "--token-file: cannot read /no/such",
        ),
        (vec!["--creds", &secret], None, "--creds: it is not a JWT"),
        (
            vec!["--nkey", &secret],
            None,
            "--nkey: the file has no line",
        ),
        (
            vec![],
            Some(("NATS_NKEY", "hidden")),
            "--nkey: it is neither",
        ),
        (vec!["--jwt", &secret], None, "--jwt: its nkey is missing"),
        (vec!["--tls-ca", &secret], None, "--tls-ca"),
        (
            vec!["--tls-cert", &secret],
            None,
            "--tls-cert: its key is missing",
        ),
        (vec!["--inbox-prefix", "a b"], None, "--inbox-prefix"),
        (vec!["--max-reconnects", "0"], None, "--max-reconnects"),
    ] {
        let mut all = arguments;
        all.extend(["i", "e", worker]);
        let environment: Vec<_> = environment.into_iter().collect();
        let (code, stderr) = run_with(&nats.url(), &all, &environment);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(about), "no {about:?} in {stderr}");
        assert!(!stderr.contains("hidden"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

/// A receiver that can't come back ends, and says so.
#[test]
fn a_connection_that_is_given_up_ends_the_receiver() {
    let mut nats = NatsServer::start();
    let arguments = ["--max-reconnects", "2", "--reconnect-delay", "20ms"];
    let mut receiver = Receiver::start(&nats.url(), &guests::worker(), &arguments);
    nats.kill();
    assert_eq!(receiver.wait().code(), Some(1));
    assert!(
        receiver.stderr().contains("--max-reconnects"),
        "{}",
        receiver.stderr()
    );
}
