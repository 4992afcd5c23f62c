//! The real Cyrus, where it is installed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DBTOOL: &str = "/usr/lib/cyrus/bin/cyr_dbtool";

/// A folder that `cyr_dbtool` can work in; gone when dropped.
pub struct Witness {
    folder: PathBuf,
    engine: &'static str,
}

impl Witness {
    /// `None`, said out loud, where Cyrus is not installed; in CI that is a failure.
    pub fn new(engine: &'static str, name: &str) -> Option<Witness> {
        if !Path::new(DBTOOL).exists() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "Cyrus is not installed, and CI needs it");
            eprintln!("Cyrus is not installed: {name} is not tested against it");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("coroner-{engine}-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let conf = format!("configdirectory: {0}\npartition-default: {0}\n", folder.display());
        fs::write(folder.join("imapd.conf"), conf).unwrap();
        Some(Witness { folder, engine })
    }

    /// A file of its own.
    pub fn place(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        path
    }

    /// Runs `cyr_dbtool PATH ENGINE WORDS…`, as user cyrus where we are root.
    pub fn run(&self, path: &Path, words: &[&str]) -> Output {
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut command = Command::new(if is_root { "setpriv" } else { DBTOOL });
        if is_root {
            command.args(["--reuid", "cyrus", "--regid", "mail", "--clear-groups", DBTOOL]);
        }
        command.arg("-C").arg(self.folder.join("imapd.conf")).arg(path).arg(self.engine).args(words);
        command.output().unwrap()
    }

    /// What it prints; it must succeed.
    pub fn said(&self, path: &Path, words: &[&str]) -> Vec<u8> {
        let output = self.run(path, words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        output.stdout
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
