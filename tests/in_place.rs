//! Changing a file itself: Cyrus' exclusive lock, the backup, the undo plan, and what stands at the path at every moment.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bstr::ByteSlice;
use rustix::fs::{FlockOperation, fcntl_lock};

use common::coroner;

/// A master rebuilt from a dump, without remote flags.
const LOST: &str = "cyrus-2.2.13/undump/mup-reloaded.skiplist.db";

/// A folder with a database to repair.
struct Scene {
    folder: tempfile::TempDir,
    file: PathBuf,
    before: Vec<u8>,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mailboxes.db");
        let before = fs::read(common::corpus().join(LOST)).expect("a database");
        fs::write(&file, &before).expect("a copy");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("permissions");
        Scene { folder, file, before }
    }

    /// The files beside the database whose name holds `part`.
    fn beside(&self, part: &str) -> Vec<PathBuf> {
        common::files(self.folder.path(), &|path| path.to_string_lossy().contains(part))
    }
}

fn show(path: &Path) -> Vec<u8> {
    coroner([Path::new("show"), path]).stdout
}

#[track_caller]
fn assert_status(output: &Output, status: i32) {
    let (out, err) = (output.stdout.as_bstr(), output.stderr.as_bstr());
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
}

fn repair_in_place(file: &Path) -> Output {
    coroner([Path::new("repair"), Path::new("--in-place"), file])
}

#[test]
fn a_file_is_replaced_with_a_backup_and_can_be_taken_back_and_forth() {
    let scene = Scene::new();
    let old = show(&scene.file);
    let inode = fs::metadata(&scene.file).expect("it").ino();
    assert_status(&repair_in_place(&scene.file), 0);
    let new = show(&scene.file);
    let metadata = fs::metadata(&scene.file).expect("it");
    assert!(old != new && metadata.ino() != inode);
    assert_eq!(metadata.mode() & 0o777, 0o640);
    assert_eq!(scene.beside(".coroner-").len(), 2);
    let (backups, undos) = (scene.beside(".coroner-backup-"), scene.beside(".coroner-undo-"));
    assert_eq!(fs::read(&backups[0]).expect("a backup"), scene.before);

    // The undo plan finds its file from any folder, fits no other, and its own undoing brings the repair back.
    assert_status(&coroner([Path::new("undo"), &undos[0], &backups[0]]), 2);
    assert_status(&coroner([Path::new("undo"), &undos[0]]), 0);
    assert_eq!(show(&scene.file).as_bstr(), old.as_bstr());
    assert_status(&coroner([Path::new("undo"), &undos[0]]), 2);
    let second = scene.beside(".coroner-undo-").into_iter().find(|path| *path != undos[0]).expect("another undo plan");
    assert_status(&coroner([Path::new("undo"), &second]), 0);
    assert_eq!(show(&scene.file), new);
    assert_eq!(scene.beside(".coroner-backup-").len(), 3);
}

#[test]
fn nothing_to_change_changes_nothing() {
    let scene = Scene::new();
    fs::copy(common::corpus().join("cyrus-2.2.13/murder-skiplist/mup.skiplist.db"), &scene.file).expect("a copy");
    let inode = fs::metadata(&scene.file).expect("it").ino();
    assert_status(&repair_in_place(&scene.file), 0);
    assert_eq!(fs::metadata(&scene.file).expect("it").ino(), inode);
    assert!(scene.beside(".coroner-").is_empty());
}

#[test]
fn a_file_that_another_process_has_locked_is_left_alone() {
    let scene = Scene::new();
    for operation in [FlockOperation::LockShared, FlockOperation::LockExclusive] {
        let held = fs::OpenOptions::new().read(true).write(true).open(&scene.file).expect("opened");
        fcntl_lock(&held, operation).expect("locked");
        let output =
            coroner(["repair", "--in-place", "--lock-timeout", "0.1", scene.file.to_str().expect("a plain path")]);
        assert_status(&output, 2);
        let says = format!("locked by process {} for longer than 0.1 s", std::process::id());
        assert!(output.stderr.contains_str(&says), "{}", output.stderr.as_bstr());
        assert_eq!(output.stderr.lines().count(), 1);
    }
    assert_eq!(fs::read(&scene.file).expect("it"), scene.before);
    assert!(scene.beside(".coroner-").is_empty());
    assert_status(&repair_in_place(&scene.file), 0);
}

#[test]
fn whoever_waits_for_the_lock_finds_the_new_file() {
    let scene = Scene::new();
    let held = fs::OpenOptions::new().read(true).write(true).open(&scene.file).expect("opened");
    fcntl_lock(&held, FlockOperation::LockExclusive).expect("locked");
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_coroner"))
        .args(["repair", "--in-place", "--lock-timeout", "60"])
        .arg(&scene.file)
        .stdout(Stdio::null())
        .spawn()
        .expect("coroner runs");
    // What a checkpoint does meanwhile: a new file of the same name.
    let newer = scene.folder.path().join("newer");
    fs::copy(common::corpus().join("cyrus-2.2.13/murder-skiplist/mup.skiplist.db"), &newer).expect("a copy");
    fs::rename(&newer, &scene.file).expect("renamed");
    drop(held);
    assert_eq!(waiting.wait().expect("its end").code(), Some(0));
    let healthy = common::corpus().join("cyrus-2.2.13/murder-skiplist/mup.skiplist.db");
    assert_eq!(fs::read(&scene.file).expect("it"), fs::read(healthy).expect("the genuine one"));
}

#[test]
fn a_file_that_is_to_be_written_over_itself_is_refused() {
    let scene = Scene::new();
    let file = scene.file.to_str().expect("a plain path");
    let output = coroner(["repair", file, "-o", file, "--force"]);
    assert_status(&output, 2);
    assert!(output.stderr.contains_str("--in-place"), "{}", output.stderr.as_bstr());
    assert_eq!(fs::read(file).expect("it"), scene.before);
}

#[test]
fn a_plan_for_a_flat_file_of_any_name_finds_its_format() {
    let scene = Scene::new();
    let (flat, plan) = (scene.folder.path().join("list"), scene.folder.path().join("plan.json"));
    fs::copy(common::corpus().join("cyrus-2.2.13/undump/all.flat.db"), &flat).expect("a copy");
    let (flat, plan) = (flat.to_str().expect("a path"), plan.to_str().expect("a path"));
    assert_status(&coroner(["repair", flat, "--as", "flat", "--plan", plan]), 1);
    assert_status(&coroner(["apply", plan, "--in-place"]), 0);
    assert_eq!(coroner(["verify", "--as", "flat", flat]).status.code(), Some(0));
}

#[test]
fn a_symbolic_link_stays_one() {
    let scene = Scene::new();
    let link = scene.folder.path().join("link.db");
    std::os::unix::fs::symlink(&scene.file, &link).expect("a link");
    assert_status(&repair_in_place(&link), 0);
    assert!(fs::symlink_metadata(&link).expect("it").is_symlink());
    assert_ne!(fs::read(&scene.file).expect("it"), scene.before);
}

#[test]
fn damaged_files_are_not_changed_in_place() {
    let scene = Scene::new();
    let damaged = fs::read(common::corpus().join("cyrus-3.6.1/damaged/twoskip/hole/before.db")).expect("a case");
    fs::write(&scene.file, &damaged).expect("a copy");
    let output = repair_in_place(&scene.file);
    assert_status(&output, 2);
    assert!(output.stderr.contains_str("coroner recover"), "{}", output.stderr.as_bstr());
    assert_eq!(fs::read(&scene.file).expect("it"), damaged);
}

#[test]
fn a_plan_fits_only_the_file_it_was_made_for() {
    let scene = Scene::new();
    let plan = scene.folder.path().join("plan.json");
    let (file, plan) = (scene.file.to_str().expect("a path"), plan.to_str().expect("a path"));
    assert_status(&coroner(["repair", file, "--plan", plan]), 1);
    assert_status(&coroner(["repair", file, "--plan", plan]), 2);
    assert_status(&coroner(["apply", plan]), 1);
    let mut changed = scene.before.clone();
    let byte = changed.iter().rposition(|&byte| byte == b's').expect("a letter");
    changed[byte] = b'w';
    for bytes in [changed, scene.before[..scene.before.len() - 4].to_vec()] {
        fs::write(file, bytes).expect("changed");
        for place in [&["--in-place"][..], &["-o", "never.db"], &[]] {
            let output = coroner(["apply", plan].iter().chain(place));
            assert_status(&output, 2);
            assert!(output.stderr.contains_str("is not the file that the plan was made for"));
            assert_eq!(output.stderr.lines().count(), 1);
        }
    }
    fs::write(file, &scene.before).expect("as before");
    assert_status(&coroner(["apply", plan, "--in-place"]), 0);
    assert!(show(&scene.file).contains_str("1 be1.murder.test!default"));
}

#[test]
fn a_plan_whose_changes_do_not_fit_the_records_is_refused() {
    let scene = Scene::new();
    let plan = scene.folder.path().join("plan.json");
    let (file, name) = (scene.file.to_str().expect("a path"), plan.to_str().expect("a path"));
    assert_status(&coroner(["repair", file, "--plan", name]), 1);
    let text = fs::read_to_string(&plan).expect("a plan");
    for (from, to, says) in [
        ("\"key\":\"&ZeVnLIqe-\"", "\"key\":\"no.such\"", "the plan does not fit it: the record of no.such"),
        ("\"from\":\"0 be1", "\"from\":\"0 be2", "change 1: from and raw.from say different things"),
        ("coroner/plan/1", "coroner/plan/2", "its schema is not coroner/plan/1"),
        ("\"changes\":[", "\"changes\":", "expected a list of changes"),
        ("\"changes\":[", "\"changes\":[,", "not JSON"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&plan, text.replacen(from, to, 1)).expect("changed");
        for output in [coroner(["apply", name]), coroner(["apply", name, "--in-place"])] {
            assert_status(&output, 2);
            assert!(output.stderr.contains_str(says), "{}", output.stderr.as_bstr());
        }
    }
    assert_eq!(fs::read(file).expect("it"), scene.before);
    assert!(scene.beside(".coroner-").is_empty());
}
