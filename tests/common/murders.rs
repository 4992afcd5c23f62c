//! The genuine murders of the corpus.

use std::fs;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::{corpus, files};

/// The backends of all of them.
pub const SERVERS: [&str; 2] = ["be1.murder.test", "be2.murder.test"];

/// The files of a real murder.
pub struct Murder {
    /// Where they are.
    pub folder: PathBuf,
    /// `skiplist`, `twoskip`, `flat` or `twom`.
    pub engine: String,
    /// The master's list.
    pub master: PathBuf,
    /// Which lists of `ctl_mboxlist -m -w` go with that master.
    pub lists: &'static str,
}

impl Murder {
    /// A backend's list, by number from 0.
    pub fn backend(&self, number: usize) -> PathBuf {
        self.folder.join(format!("be{}.{}.db", number + 1, self.engine))
    }

    /// Both, as `NAME=FILE`.
    pub fn named_backends(&self) -> [String; 2] {
        [0, 1].map(|number| format!("{}={}", SERVERS[number], self.backend(number).display()))
    }

    /// What `ctl_mboxlist -m -w` printed on a backend, without the status behind it.
    pub fn planned(&self, number: usize) -> Vec<Vec<u8>> {
        lines(&self.folder.join(format!("be{}.{}.txt", number + 1, self.lists)))
    }
}

/// The lines of a saved output.
pub fn lines(path: &Path) -> Vec<Vec<u8>> {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(<[u8]>::to_vec).filter(|line| !line.starts_with(b"rc ") && !line.is_empty()).collect()
}

/// The murders of all releases.
pub fn murders() -> Vec<Murder> {
    let wanted = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        folder.starts_with("murder-") && name.starts_with("mup.") && name.ends_with(".db") && !name.contains("restart")
    };
    let murder = |path: PathBuf| {
        let folder = path.parent().expect("a folder").to_owned();
        let engine = path.file_name()?.to_str()?.split('.').nth(1)?.to_owned();
        let restarted = folder.join(format!("mup.after-restart.{engine}.db"));
        Some(match restarted.exists() {
            true => Murder { folder, engine, master: restarted, lists: "after-master-restart.mw" },
            false => Murder { folder, engine, master: path, lists: "mw" },
        })
    };
    files(&corpus(), &wanted).into_iter().filter_map(murder).collect()
}

/// The murder with every kind of conflict.
pub fn conflicts() -> Murder {
    let folder = corpus().join("cyrus-3.6.1/conflicts");
    Murder { engine: "twoskip".into(), master: folder.join("mup.twoskip.db"), lists: "mw", folder }
}
