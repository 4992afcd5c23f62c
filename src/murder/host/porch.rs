//! Those who came in by IMAP or LMTP, and what they are about to ask.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::request::{Answer, Data, Request, User, Word};
use super::{ConnId, Door, Effect};
use crate::murder::door::{self, Namespace, Session, Step};

/// Whether somebody may come in with this name and password.
pub type Check = dyn Fn(&[u8], &[u8]) -> bool + Send + Sync;

/// Who may come in.
#[derive(Clone)]
pub struct Users {
    /// Who has which password; anyone comes in with any if there is none.
    pub check: Option<Arc<Check>>,
    /// Who may do everything, and be everyone (`admins`, `proxyservers`).
    pub admins: Vec<Vec<u8>>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("anyone", &self.check.is_none()).field("admins", &self.admins).finish()
    }
}

impl Users {
    /// Anyone, with any password; these may do everything.
    pub fn anyone(admins: &[&str]) -> Users {
        Users { check: None, admins: admins.iter().map(|name| name.as_bytes().to_vec()).collect() }
    }

    fn is_admin(&self, name: &[u8]) -> bool {
        self.admins.iter().any(|admin| admin == name)
    }

    /// Who comes in, if anyone.
    pub fn let_in(&self, user: &[u8], password: &[u8], acting_for: Option<&[u8]>) -> Option<User> {
        let known = self.check.as_ref().is_none_or(|check| check(user, password));
        let name = acting_for.filter(|name| !name.is_empty()).unwrap_or(user);
        let may = known && !name.is_empty() && (name == user || self.is_admin(user));
        may.then(|| User { name: name.to_vec(), admin: self.is_admin(name) })
    }
}

/// Somebody who came in.
struct Guest {
    door: Door,
    session: Box<dyn Session>,
    user: User,
    /// Whether a question is on its way.
    asking: bool,
}

/// What somebody asks.
#[derive(Debug)]
pub struct Asked {
    /// The connection.
    pub conn: ConnId,
    /// Who asks; of LMTP, nobody.
    pub user: User,
    /// What.
    pub request: Request,
}

/// All who came in.
pub struct Porch {
    name: Vec<u8>,
    namespace: Namespace,
    users: Users,
    guests: BTreeMap<ConnId, Guest>,
    asked: VecDeque<Asked>,
}

impl fmt::Debug for Porch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Porch").field("guests", &self.guests.len()).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Porch {
    /// A porch with nobody on it.
    pub fn new(name: &[u8], namespace: Namespace, users: Users) -> Porch {
        Porch { name: name.to_vec(), namespace, users, guests: BTreeMap::new(), asked: VecDeque::new() }
    }

    /// Somebody comes in.
    pub fn accept(&mut self, conn: ConnId, door: Door, effects: &mut VecDeque<Effect>) {
        let Some(session) = door::session(door, &self.name, self.namespace) else {
            return effects.push_back(Effect::Close { conn });
        };
        let user = User { name: Vec::new(), admin: door == Door::Lmtp };
        self.guests.insert(conn, Guest { door, session, user, asking: false });
        self.go_on(conn, effects);
    }

    /// Whether somebody came in by this connection.
    pub fn has(&self, conn: ConnId) -> bool {
        self.guests.contains_key(&conn)
    }

    /// Bytes of somebody.
    pub fn hear(&mut self, conn: ConnId, bytes: &[u8], effects: &mut VecDeque<Effect>) {
        if let Some(guest) = self.guests.get_mut(&conn) {
            guest.session.feed(bytes);
            self.go_on(conn, effects);
        }
    }

    /// Somebody is gone.
    pub fn lost(&mut self, conn: ConnId) {
        self.guests.remove(&conn);
        self.asked.retain(|asked| asked.conn != conn);
    }

    /// The next question.
    pub fn next_asked(&mut self) -> Option<Asked> {
        self.asked.pop_front()
    }

    /// By which door somebody came in.
    pub fn door(&self, conn: ConnId) -> Option<Door> {
        self.guests.get(&conn).map(|guest| guest.door)
    }

    /// Answers somebody, who may be gone.
    pub fn answer(&mut self, conn: ConnId, answer: Answer, effects: &mut VecDeque<Effect>) {
        if let Some(guest) = self.guests.get_mut(&conn) {
            guest.asking = false;
            guest.session.answer(answer);
            self.go_on(conn, effects);
        }
    }

    fn go_on(&mut self, conn: ConnId, effects: &mut VecDeque<Effect>) {
        while let Some(guest) = self.guests.get_mut(&conn).filter(|guest| !guest.asking) {
            match guest.session.next_step() {
                None => return,
                Some(Step::Say(bytes)) => effects.push_back(Effect::Send { conn, bytes }),
                Some(Step::Close(bytes)) => {
                    effects.extend([Effect::Send { conn, bytes }, Effect::Close { conn }]);
                    self.lost(conn);
                }
                Some(Step::Ask(Request::Login { user, password, acting_for })) => {
                    let user = self.users.let_in(&user, &password, acting_for.as_deref());
                    guest.session.answer(match &user {
                        Some(user) => Answer::with(Data::User(user.clone())),
                        None => Answer {
                            word: Word::No,
                            text: "Login failed: authentication failure".into(),
                            data: Data::None,
                        },
                    });
                    guest.user = user.unwrap_or_default();
                }
                Some(Step::Ask(request)) => {
                    guest.asking = true;
                    self.asked.push_back(Asked { conn, user: guest.user.clone(), request });
                }
            }
        }
    }
}
