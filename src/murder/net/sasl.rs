//! Who may log in: SASL by rsasl, and a file of hashed passwords.
//!
//! The file has a line `USER:SECRET` for each secret of a user; `#` begins a comment. Secrets are
//! `SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER` and the same with SHA-1 (RFC 5803, base64), which PLAIN and LOGIN are
//! checked against too; and `CERT-SHA256$HEX`, the digest of a client certificate that EXTERNAL takes. Everyone in the file
//! may do everything: MUPDATE knows no less.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::scram::tools;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLConfig, SASLServer, Session, SessionError, State};
use rsasl::property::{AuthId, AuthzId, Password};
use rsasl::validate::{Validate, Validation, ValidationError};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::sasldb;
use crate::failure::Failure;

/// A hash that SCRAM knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Hash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Hash {
    const ALL: [Hash; 2] = [Hash::Sha256, Hash::Sha1];

    /// The mechanism of that hash.
    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
        }
    }

    /// Stored key and server key of a password.
    fn keys(self, password: &[u8], iterations: u32, salt: &[u8]) -> (Vec<u8>, Vec<u8>) {
        match self {
            Hash::Sha1 => {
                let mut salted = Default::default();
                tools::hash_password::<Sha1>(password, iterations, salt, &mut salted);
                let (client, server) = tools::derive_keys::<Sha1>(&salted);
                (Sha1::digest(client).to_vec(), server.to_vec())
            }
            Hash::Sha256 => {
                let mut salted = Default::default();
                tools::hash_password::<Sha256>(password, iterations, salt, &mut salted);
                let (client, server) = tools::derive_keys::<Sha256>(&salted);
                (Sha256::digest(client).to_vec(), server.to_vec())
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Stored {
    hash: Hash,
    iterations: u32,
    salt: Vec<u8>,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl Stored {
    fn parse(hash: Hash, text: &str) -> Option<Stored> {
        let (head, keys) = text.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).ok();
        // More would let a line of the file keep the processor busy for minutes.
        let iterations = iterations.parse().ok().filter(|iterations| (1..=10_000_000).contains(iterations))?;
        Some(Stored { hash, iterations, salt: decode(salt)?, stored: decode(stored)?, server: decode(server)? })
    }

    fn is_of(&self, password: &[u8]) -> bool {
        let (stored, _) = self.hash.keys(password, self.iterations, &self.salt);
        let differs = stored
            .iter()
            .zip(&self.stored)
            .fold(stored.len() ^ self.stored.len(), |differs, (a, b)| differs | usize::from(a ^ b));
        differs == 0
    }
}

/// Iterations of new secrets: what RFC 7677 asks for, and today's machines do in a moment.
const ITERATIONS: u32 = 16_384;

/// A salt for [`lines`].
///
/// # Errors
/// When the system has no random numbers.
pub fn salt() -> Result<[u8; 18], Failure> {
    let mut salt = [0; 18];
    rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::usage(format!("no random numbers: {error}"), "try again"))?;
    Ok(salt)
}

/// The lines of a password file for a user: one for each hash.
pub fn lines(user: &str, password: &str, salt: &[u8]) -> Vec<String> {
    let line = |hash: Hash| {
        let (stored, server) = hash.keys(password.as_bytes(), ITERATIONS, salt);
        let (salt, stored, server) = (BASE64.encode(salt), BASE64.encode(&stored), BASE64.encode(&server));
        format!("{user}:{}${ITERATIONS}:{salt}${stored}:{server}", hash.mechanism())
    };
    Hash::ALL.map(line).to_vec()
}

#[derive(Debug, Default)]
struct Users {
    secrets: HashMap<String, Vec<Stored>>,
    certificates: HashMap<Vec<u8>, String>,
}

impl Users {
    fn parse(text: &str) -> Result<Users, usize> {
        let mut users = Users::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = || {
                let (user, secret) = line.split_once(':').filter(|(user, _)| !user.is_empty())?;
                let (kind, rest) = secret.split_once('$')?;
                Some((user, kind, rest))
            };
            let (user, kind, rest) = read().ok_or(index + 1)?;
            if let Some(hash) = Hash::ALL.into_iter().find(|hash| hash.mechanism() == kind) {
                let stored = Stored::parse(hash, rest).ok_or(index + 1)?;
                users.secrets.entry(user.to_owned()).or_default().push(stored);
            } else if kind == "CERT-SHA256" {
                let digest = HEXLOWER_PERMISSIVE.decode(rest.replace(':', "").as_bytes()).map_err(|_| index + 1)?;
                users.certificates.insert(digest, user.to_owned());
            } else {
                return Err(index + 1);
            }
        }
        Ok(users)
    }
}

/// Who may log in, and how.
#[derive(Debug)]
pub struct Sasl {
    users: Arc<Users>,
    plain_anywhere: bool,
}

/// A SASL exchange.
pub struct Exchange {
    mechanism: String,
    session: Option<Session<Verdict>>,
    /// Who it is, when only the client's consent is missing.
    done: Option<String>,
}

/// What comes next in an exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// The client is to answer this.
    Challenge(Vec<u8>),
    /// It is this user.
    Done(String),
    /// It is nobody who may log in; why, for the log.
    Refused(String),
}

struct Verdict;

impl Validation for Verdict {
    type Value = Result<String, String>;
}

struct Judge {
    users: Arc<Users>,
    /// The user whose certificate the client showed.
    certified: Option<String>,
}

impl SessionCallback for Judge {
    fn callback(
        &self,
        data: &SessionData,
        context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        let mechanism = data.mechanism().mechanism.as_str();
        let user = context.get_ref::<AuthId>().unwrap_or_default();
        let stored = self.users.secrets.get(user).map(Vec::as_slice).unwrap_or_default();
        if let Some(stored) = stored.iter().find(|stored| stored.hash.mechanism() == mechanism) {
            let password = ScramStoredPassword::new(stored.iterations, &stored.salt, &stored.stored, &stored.server);
            request.satisfy::<ScramStoredPassword<'_>>(&password)?;
        }
        Ok(())
    }

    fn validate(
        &self,
        data: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        let mechanism = data.mechanism().mechanism.as_str();
        validate.with::<Verdict, _>(|| Ok(self.judge(mechanism, context)))?;
        Ok(())
    }
}

impl Judge {
    fn judge(&self, mechanism: &str, context: &Context<'_>) -> Result<String, String> {
        let user = match (mechanism, &self.certified) {
            ("EXTERNAL", Some(user)) => user.clone(),
            _ => context.get_ref::<AuthId>().unwrap_or_default().to_owned(),
        };
        let authorization = context.get_ref::<AuthzId>().unwrap_or_default();
        if !authorization.is_empty() && authorization != user {
            return Err(format!("{user} may not act as {authorization}"));
        }
        if let Some(password) = context.get_ref::<Password>() {
            let stored = self.users.secrets.get(&user).map(Vec::as_slice).unwrap_or_default();
            if !stored.iter().any(|stored| stored.is_of(password)) {
                return Err(format!("{user}: wrong password, or no such user"));
            }
        }
        Ok(user)
    }
}

impl Sasl {
    /// Reads a password file. `plain_anywhere` allows passwords to be sent without TLS from other hosts.
    ///
    /// # Errors
    /// When it can't be read, or has a line that says nothing.
    pub fn open(path: &Path, plain_anywhere: bool) -> Result<Sasl, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::file(path, error, "make one with `coroner murder password USER`"))?;
        Sasl::parse(&text, plain_anywhere).map_err(|line| {
            let what = format!("line {line} is no line of a password file");
            Failure::file(path, what, "make lines with `coroner murder password USER`")
        })
    }

    /// The same, of text.
    ///
    /// # Errors
    /// The number of a line that says nothing.
    pub fn parse(text: &str, plain_anywhere: bool) -> Result<Sasl, usize> {
        Ok(Sasl { users: Arc::new(Users::parse(text)?), plain_anywhere })
    }

    /// Those of a `sasldb2` and a realm that `users` names ([`sasldb::passwords`]), by every mechanism.
    ///
    /// # Errors
    /// When it can't be read, or does not have one of them.
    pub fn of_sasldb(path: &Path, realm: &str, users: &[String], plain_anywhere: bool) -> Result<Sasl, Failure> {
        let mut text = String::new();
        for (user, password) in sasldb::passwords(path, realm, users)? {
            for line in lines(&user, &password, &salt()?) {
                text += &line;
                text += "\n";
            }
        }
        Sasl::parse(&text, plain_anywhere).map_err(|_| {
            Failure::file(path, "has a user whose name can't be one", "a user's name has no ':' and no '#'")
        })
    }

    /// Mechanisms to offer to somebody whose connection is protected (TLS, or the same host), and who showed a certificate.
    pub fn mechanisms(&self, protected: bool, certified: bool) -> Vec<String> {
        let mut mechanisms: Vec<&str> = Hash::ALL.map(Hash::mechanism).to_vec();
        if protected || self.plain_anywhere {
            mechanisms.extend(["PLAIN", "LOGIN"]);
        }
        if certified {
            mechanisms.push("EXTERNAL");
        }
        mechanisms.into_iter().map(str::to_owned).collect()
    }

    /// Begins an exchange; `None` for a mechanism that is not offered.
    pub fn begin(&self, mechanism: &[u8], protected: bool, certificates: &[Vec<u8>]) -> Option<Exchange> {
        let certified = certificates.first().map(|certificate| Sha256::digest(certificate).to_vec());
        let certified = certified.and_then(|digest| self.users.certificates.get(&digest).cloned());
        let mechanism = mechanism.to_ascii_uppercase();
        let offered = self.mechanisms(protected, certified.is_some());
        if !offered.iter().any(|known| known.as_bytes() == mechanism) {
            return None;
        }
        let judge = Judge { users: self.users.clone(), certified };
        let config = SASLConfig::builder().with_defaults().with_callback(judge).ok()?;
        let session = SASLServer::<Verdict>::new(config).start_suggested(Mechname::parse(&mechanism).ok()?).ok()?;
        let mechanism = String::from_utf8_lossy(&mechanism).into_owned();
        Some(Exchange { mechanism, session: Some(session), done: None })
    }
}

impl Exchange {
    /// What it goes by.
    pub fn mechanism(&self) -> &str {
        &self.mechanism
    }

    /// Takes what the client said; `None` if it said nothing yet.
    pub fn step(&mut self, response: Option<&[u8]>) -> Next {
        if let Some(user) = self.done.take() {
            return Next::Done(user);
        }
        let Some(session) = &mut self.session else { return Next::Refused("over already".into()) };
        if response.is_none() && !session.are_we_first() {
            return Next::Challenge(Vec::new());
        }
        let mut out = Vec::new();
        match session.step(response, &mut out) {
            Ok(State::Running) => Next::Challenge(out),
            Ok(State::Finished(_)) => match session.validation() {
                Some(Ok(user)) if out.is_empty() => Next::Done(user),
                Some(Ok(user)) => {
                    // The last word is the server's: an OK has no room for it.
                    self.done = Some(user);
                    Next::Challenge(out)
                }
                Some(Err(why)) => Next::Refused(why),
                None => Next::Refused("nobody said who it is".into()),
            },
            Err(error) => Next::Refused(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsasl::prelude::SASLClient;

    fn sasl() -> Sasl {
        let text = lines("murder", "secret", b"some salt").join("\n");
        Sasl::parse(&format!("# who may\n\n{text}\n"), false).expect("lines")
    }

    fn login(mechanism: &str, user: &str, password: &str) -> Next {
        let config = SASLConfig::with_credentials(None, user.into(), password.into()).expect("a configuration");
        let name = Mechname::parse(mechanism.as_bytes()).expect("a name");
        let mut client = SASLClient::new(config).start_suggested(&[name]).expect("a client");
        let mut server = sasl().begin(mechanism.as_bytes(), true, &[]).expect("a mechanism");
        let mut next = server.step(None);
        loop {
            let Next::Challenge(challenge) = next else { return next };
            let mut answer = Vec::new();
            let challenge = (!challenge.is_empty()).then_some(&challenge[..]);
            if client.step(challenge, &mut answer).is_err() {
                return Next::Refused("the client".into());
            }
            next = server.step(Some(&answer));
        }
    }

    #[test]
    fn every_mechanism_lets_in_who_knows_the_password() {
        for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256"] {
            assert_eq!(login(mechanism, "murder", "secret"), Next::Done("murder".into()), "{mechanism}");
            for (user, password) in [("murder", "wrong"), ("nobody", "secret")] {
                assert!(matches!(login(mechanism, user, password), Next::Refused(_)), "{mechanism} {user} {password}");
            }
        }
    }

    #[test]
    fn nobody_acts_as_somebody_else() {
        let mut exchange = sasl().begin(b"plain", true, &[]).expect("PLAIN");
        assert!(matches!(exchange.step(Some(b"cyrus\0murder\0secret")), Next::Refused(_)));
        let mut exchange = sasl().begin(b"PLAIN", true, &[]).expect("PLAIN");
        assert_eq!(exchange.step(Some(b"murder\0murder\0secret")), Next::Done("murder".into()));
    }

    #[test]
    fn passwords_are_not_sent_in_the_clear_from_elsewhere() {
        assert!(sasl().begin(b"PLAIN", false, &[]).is_none() && sasl().begin(b"LOGIN", false, &[]).is_none());
        assert!(sasl().begin(b"SCRAM-SHA-256", false, &[]).is_some());
        assert!(sasl().begin(b"EXTERNAL", true, &[b"unknown".to_vec()]).is_none());
    }

    #[test]
    fn a_certificate_stands_for_its_user() {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(b"certificate"));
        let sasl = Sasl::parse(&format!("be1:CERT-SHA256${digest}"), false).expect("a line");
        let mut exchange = sasl.begin(b"EXTERNAL", true, &[b"certificate".to_vec()]).expect("EXTERNAL");
        assert_eq!(exchange.step(Some(b"")), Next::Done("be1".into()));
    }

    #[test]
    fn lines_that_say_nothing_are_told() {
        assert_eq!(Sasl::parse("# x\nmurder:secret\n", false).map(drop), Err(2));
        assert_eq!(Sasl::parse("murder:SCRAM-SHA-1$x:y$z\n", false).map(drop), Err(1));
    }
}
