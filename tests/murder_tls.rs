//! STARTTLS, COMPRESS and SCRAM between real Cyrus hosts and coroner, both ways.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use common::coroner;
use common::murder::{Coroner, Lab, Part, list, rows_of, wait};
use coroner::murder::net::sasl;
use sha2::{Digest, Sha256};

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A certificate for this host and its key, that Cyrus can read.
fn certificate(lab: &Lab, name: &str) -> (PathBuf, PathBuf, Vec<u8>) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let paths = (lab.path(&format!("{name}.pem")), lab.path(&format!("{name}.key")));
    fs::write(&paths.0, made.cert.pem()).expect("written");
    fs::write(&paths.1, made.signing_key.serialize_pem()).expect("written");
    lab.hand_over(&paths.1);
    (paths.0, paths.1, made.cert.der().to_vec())
}

fn corpus() -> PathBuf {
    common::corpus().join("cyrus-3.6.1/murder-twoskip")
}

/// A coroner master that asks for a password, on a copy of a genuine list.
fn master(lab: &Lab, name: &str, client: &[u8], more: &[&str]) -> (Coroner, PathBuf) {
    let (database, users) = (lab.path(&format!("{name}.db")), lab.path(&format!("{name}.users")));
    fs::copy(corpus().join("mup.twoskip.db"), &database).expect("a copy");
    let mut lines = sasl::lines("murder", "secret", b"salt");
    // The user that the host asks to be is the one that its certificate has to stand for.
    lines.push(format!("murder:CERT-SHA256${}", data_encoding::HEXLOWER.encode(&Sha256::digest(client))));
    fs::write(&users, lines.join("\n")).expect("users");
    let options = ["--role", "master", "--db", text(&database), "--passwords", text(&users)];
    (Coroner::serve(&lab.path(""), &[&options[..], more].concat()), database)
}

/// How a real host logs in, whether coroner lets anybody in without TLS, and what its log says of it.
///
/// None of them compresses: 3.6.1 does so neither with coroner nor with a real master, also with `proxy_compress`.
const WAYS: [(&str, &str, bool, &str); 4] = [
    ("scram", "proxy_compress: 1\n", false, "mechanism=\"SCRAM-SHA-256\" tls=false"),
    ("tls", "", true, "mechanism=\"SCRAM-SHA-256\" tls=true"),
    ("plain", "force_sasl_client_mech: PLAIN\n", true, "mechanism=\"PLAIN\" tls=true"),
    (
        "external",
        "force_sasl_client_mech: EXTERNAL\ntls_client_cert: HOME/client.pem\ntls_client_key: HOME/client.key\n",
        true,
        "mechanism=\"EXTERNAL\" tls=true",
    ),
];

#[test]
fn real_hosts_log_in_to_a_coroner_master_by_tls_and_scram() {
    let Some(lab) = Lab::find("real_hosts_log_in_to_a_coroner_master_by_tls_and_scram") else { return };
    let (certificate, key, _) = certificate(&lab, "server");
    let (_, _, client) = self::certificate(&lab, "client");
    for (name, more, required, words) in WAYS {
        let tls = ["--tls-cert", text(&certificate), "--tls-key", text(&key)];
        let required: &[&str] = if required { &["--tls-required"] } else { &[] };
        let (server, database) = master(&lab, name, &client, &[&tls, required].concat());
        let more = more.replace("HOME", text(&lab.path("")).trim_end_matches('/'));
        let more = format!("{more}tls_client_ca_file: {}\n", certificate.display());

        let mut frontend = lab.host_with(&format!("fe-{name}"), Part::Frontend(server.port), "twoskip", &more);
        frontend.start();
        let wanted = rows_of(&database);
        assert!(wanted.len() > 50, "{} entries", wanted.len());
        wait(&format!("{name}: the frontend"), || list(frontend.mupdate).as_ref() == Some(&wanted));
        let log = fs::read_to_string(&server.log).expect("a log");
        assert!(log.contains(words), "{name}: no {words} in {log}");
        frontend.stop(rustix::process::Signal::QUIT);

        let backend = lab.host_with(&format!("be-{name}"), Part::Backend(server.port), "twoskip", &more);
        backend.put(&corpus().join("be1.twoskip.db"));
        let before = fs::read_to_string(&server.log).expect("a log").len();
        // It has be1's mailboxes under a name of its own: all go to the master, which knows them elsewhere.
        let output = backend.mboxlist(&["-ma"]);
        assert!(output.status.success(), "{name}: {}", output.stderr.as_bstr());
        let rows = rows_of(&database);
        let moved = rows.values().filter(|(place, _)| place.starts_with(backend.name.as_bytes())).count();
        assert!(moved > 10, "{name}: {moved} of {}", rows.len());
        let log = fs::read_to_string(&server.log).expect("a log");
        assert!(log[before..].contains(words), "{name}: no {words} in {log}");
    }
}

#[test]
fn passwords_of_a_cyrus_host_go_on() {
    let Some(lab) = Lab::find("passwords_of_a_cyrus_host_go_on") else { return };
    let host = lab.host("mup", Part::Master, "twoskip");
    let (sasldb, database, secret) = (lab.path("mup/sasldb2"), lab.path("list.db"), lab.path("secret"));
    fs::copy(corpus().join("mup.twoskip.db"), &database).expect("a copy");
    fs::write(&secret, "secret\n").expect("a password");
    let options = ["--role", "master", "--db", text(&database), "--failed-login-pause", "0"];
    let users = ["--sasldb", text(&sasldb), "--admins", "murder", "--server-name", &host.name];
    let server = Coroner::serve(&lab.path(""), &[&options[..], &users].concat());
    let wanted = rows_of(&database);
    assert_eq!(list(server.port).as_ref(), Some(&wanted), "PLAIN");
    let mut frontend = lab.host("fe", Part::Frontend(server.port), "twoskip");
    frontend.start();
    wait("the frontend", || list(frontend.mupdate).as_ref() == Some(&wanted));
    let address = format!("localhost:{}", server.port);
    // The other one of the file is no admin here.
    for (user, status) in [("murder", 0), ("cyrus", 2)] {
        let command = ["murder", "query", &address, "noop", "--user", user, "--password-file", text(&secret)];
        let output = coroner(command);
        assert_eq!(output.status.code(), Some(status), "{user}: {}", output.stderr.as_bstr());
    }
    let log = fs::read_to_string(&server.log).expect("a log");
    assert!(log.matches("mechanism=\"SCRAM-SHA-256\"").count() >= 2 && log.contains("mechanism=\"PLAIN\""), "{log}");
    drop(server);

    // Another realm, a user who is not there, a damaged file, something else.
    let mut spoilt = fs::read(&sasldb).expect("the file");
    spoilt[12..16].fill(0xFF);
    fs::write(lab.path("spoilt"), &spoilt).expect("written");
    fs::write(lab.path("short"), &fs::read(&sasldb).expect("the file")[..5000]).expect("written");
    let serve = |file: &Path, admins: &str, realm: &str| {
        let users = ["--sasldb", text(file), "--admins", admins, "--server-name", realm];
        coroner([&["murder", "serve"], &options[..], &users, &["--listen", "127.0.0.1:0"]].concat()).status.code()
    };
    for (file, admins, realm) in [
        (&sasldb, "murder", "elsewhere"),
        (&sasldb, "murder,nobody", &host.name[..]),
        (&lab.path("spoilt"), "murder", &host.name),
        (&lab.path("short"), "murder", &host.name),
        (&database, "murder", &host.name),
        (&lab.path("nothing"), "murder", &host.name),
    ] {
        assert_eq!(serve(file, admins, realm), Some(2), "{} {admins} {realm}", file.display());
    }
}

#[test]
fn coroner_reaches_a_real_master_by_tls() {
    let Some(lab) = Lab::find("coroner_reaches_a_real_master_by_tls") else { return };
    let (certificate, key, _) = certificate(&lab, "server");
    let (other, ..) = self::certificate(&lab, "other");
    let more =
        format!("allowplaintext: no\ntls_server_cert: {}\ntls_server_key: {}\n", certificate.display(), key.display());
    let mut real = lab.host_with("mup", Part::MasterAsItIs, "twoskip", &more);
    real.put(&corpus().join("mup.twoskip.db"));
    real.start();
    let (address, secret) = (format!("localhost:{}", real.mupdate), lab.path("secret"));
    fs::write(&secret, "secret\n").expect("a password");
    let login = ["--user", "murder", "--password-file", text(&secret)];
    let tls = ["--tls-ca", text(&certificate)];
    let query = |more: &[&str]| coroner([&["murder", "query", &address, "list"], &login[..], more].concat());
    let mut plain = query(&tls);
    wait("the real master", || {
        plain = query(&tls);
        plain.status.success()
    });
    assert_eq!(plain.stdout.lines().count(), real.rows().len());
    // It dies when a client that used TLS leaves, and is started again.
    wait("the same compressed", || query(&[&tls[..], &["--compress"]].concat()).stdout == plain.stdout);
    // Without TLS it lets nobody in; of another authority's certificate it is no master of ours.
    for options in [&[][..], &["--tls-ca", text(&other)]] {
        let output = query(options);
        assert_eq!((output.status.code(), output.stdout.as_bstr()), (Some(2), b"".as_bstr()), "{options:?}");
    }

    let copy = lab.path("standby.db");
    let options = ["--role", "frontend", "--db", text(&copy), "--no-auth", "--master", &address, "--retry-delay", "1"];
    let standby = Coroner::serve(&lab.path(""), &[&options[..], &login, &tls, &["--compress"]].concat());
    let wanted = real.rows();
    wait("the standby", || list(standby.port).as_ref() == Some(&wanted));
    assert_eq!(rows_of(&copy), wanted);

    // A backend's list goes through TLS too, and the standby hears of it.
    let own = format!("be1.murder.test={}", corpus().join("be1.twoskip.db").display());
    let command = ["murder", "sync", "--backend", &own, "--master", &address];
    // What only the backend could do is left.
    wait("sync", || coroner([&command[..], &login, &tls].concat()).status.code() == Some(1));
    let pushed = real.rows();
    let reserved = &b"user.anna.pending"[..];
    assert!(wanted.contains_key(reserved) && !pushed.contains_key(reserved));
    wait("the changes", || list(standby.port).as_ref() == Some(&pushed));
}
