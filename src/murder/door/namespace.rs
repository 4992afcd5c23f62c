//! Names as clients see them, and as a server keeps them: Cyrus' namespace without `altnamespace`.

/// How mailboxes are named for clients.
///
/// Inside, a name's elements stand between dots and all that belongs to a user below `user.USERID`. Outside, the elements
/// stand between separators, and users find their own mailboxes below INBOX. With `/` between elements, a dot inside one
/// is a `^` within. Modified UTF-7 stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// `.` or `/`.
    pub separator: u8,
}

impl Default for Namespace {
    /// As with `unixhierarchysep`, which is Cyrus' default since 3.0.
    fn default() -> Self {
        Namespace { separator: b'/' }
    }
}

const INBOX: &[u8] = b"INBOX";
const USER: &[u8] = b"user";

impl Namespace {
    /// The internal name of a mailbox that `user` calls so; `None` if that is no name. As Cyrus does, several separators in
    /// a row count as one.
    pub fn internal(self, external: &[u8], user: &[u8]) -> Option<Vec<u8>> {
        let mut elements = external.split(|&byte| byte == self.separator).filter(|element| !element.is_empty());
        let first = elements.next()?;
        let mut name = match first.eq_ignore_ascii_case(INBOX) {
            true if !user.is_empty() => home(user),
            _ => self.inside(first),
        };
        for element in elements {
            name.push(b'.');
            name.extend_from_slice(&self.inside(element));
        }
        Some(name)
    }

    /// What `user` calls a mailbox of this internal name.
    pub fn external(self, internal: &[u8], user: &[u8]) -> Vec<u8> {
        let home = home(user);
        let below = internal.strip_prefix(&home[..]).filter(|rest| rest.is_empty() || rest.starts_with(b"."));
        let (mut name, rest) = match below {
            Some(rest) if !user.is_empty() => (INBOX.to_vec(), rest),
            _ => (Vec::new(), internal),
        };
        name.extend(rest.iter().map(|&byte| match byte {
            b'.' => self.separator,
            b'^' if self.separator == b'/' => b'.',
            byte => byte,
        }));
        name
    }

    /// Whether a mailbox may get this name, as Cyrus 3.6 sees it.
    pub fn may_be_made(self, external: &[u8]) -> bool {
        let good = |byte: u8| match byte {
            b'^' => self.separator == b'.',
            b'!' | b'"' | b'%' | b';' | b'<' | b'>' | b'\\' | b'`' | b'{'..=b'}' => false,
            b' '..=b'~' => true,
            _ => false,
        };
        external.iter().all(|&byte| good(byte))
            && self.internal(external, b"").is_some_and(|name| name != USER)
            && is_utf7(external)
    }

    /// The internal name that mail for this local part of an address goes to: `USER`, `USER+FOLDER` or `+SHARED`.
    pub fn recipient(self, local: &[u8]) -> Option<Vec<u8>> {
        let (user, folder) = match local.iter().position(|&byte| byte == b'+').and_then(|at| local.split_at_checked(at))
        {
            Some((user, folder)) => (user, folder.get(1..).unwrap_or_default()),
            None => (local, &b""[..]),
        };
        let user = user.to_ascii_lowercase();
        let name = match (user.is_empty(), folder.is_empty()) {
            (true, _) => self.internal(folder, b"")?,
            (false, true) => home(&user),
            (false, false) => [&home(&user)[..], b".", &self.internal_of_elements(folder)?].concat(),
        };
        Some(name).filter(|name| name != USER)
    }

    /// The local part of an address that mail for this mailbox goes to.
    pub fn local_part(self, internal: &[u8]) -> Vec<u8> {
        let shared = || [b"+", &self.external(internal, b"")[..]].concat();
        let Some(below) = internal.strip_prefix(b"user.") else { return shared() };
        let end = below.iter().position(|&byte| byte == b'.').unwrap_or(below.len());
        let (user, folder) = below.split_at_checked(end).unwrap_or((below, b""));
        if user.contains(&b'+') {
            // In front of a folder it would end the user's name.
            return shared();
        }
        let mut local: Vec<u8> = user.iter().map(|&byte| if byte == b'^' { b'.' } else { byte }).collect();
        if let Some(folder) = folder.strip_prefix(b".") {
            local.push(b'+');
            local.extend_from_slice(&self.external(folder, b""));
        }
        local
    }

    fn internal_of_elements(self, external: &[u8]) -> Option<Vec<u8>> {
        let elements = external.split(|&byte| byte == self.separator).filter(|element| !element.is_empty());
        let elements: Vec<Vec<u8>> = elements.map(|element| self.inside(element)).collect();
        (!elements.is_empty()).then(|| elements.join(&b'.'))
    }

    /// An element as it stands in internal names.
    fn inside(self, element: &[u8]) -> Vec<u8> {
        element.iter().map(|&byte| if byte == b'.' { b'^' } else { byte }).collect()
    }
}

/// The internal name of a user's INBOX.
fn home(user: &[u8]) -> Vec<u8> {
    let mut name = b"user.".to_vec();
    name.extend(user.iter().map(|&byte| if byte == b'.' { b'^' } else { byte }));
    name
}

/// Whether each `&` begins something of modified UTF-7.
fn is_utf7(name: &[u8]) -> bool {
    let coded = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b',');
    name.split(|&byte| byte == b'&').skip(1).all(|rest| rest.iter().find(|byte| !coded(byte)) == Some(&b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_its_mailbox() {
        for separator in [b'.', b'/'] {
            let namespace = Namespace { separator };
            for name in
                ["user.anna", "user.anna.x", "shared.x", "user.a^b.c^d", "user.a+b", "user.;+x", "user.+", "a+b"]
            {
                let local = namespace.local_part(name.as_bytes());
                let back = namespace.recipient(&local).map(|name| String::from_utf8_lossy(&name).into_owned());
                assert_eq!(back.as_deref(), Some(name), "{}", String::from_utf8_lossy(&local));
            }
        }
    }
}
