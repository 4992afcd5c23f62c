//! Every requirement of the record room's FORMAT.md, broken once.

use std::collections::BTreeSet;

use coroner_formats::finding::{Finding, Rule, Severity};
use coroner_formats::image::Span;
use coroner_formats::record::*;

/// A record as text; `^` stands for 0x1F, `~` for 0x1E, `|` for TAB.
type Raw<'r> = (&'r str, &'r str);

fn bytes(text: &str) -> Vec<u8> {
    text.bytes()
        .map(|byte| match byte {
            b'^' => 0x1F,
            b'~' => 0x1E,
            b'|' => b'\t',
            other => other,
        })
        .collect()
}

/// Checks records one by one and against each other; the span of the record at index `i` starts at 100 `i`.
fn findings_in(style: Style, raw: &[Raw<'_>], adapt: impl Fn(&mut Context)) -> Vec<Finding> {
    let records: Vec<_> = raw.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
    let mut context = Context::new(style, |key| records.iter().any(|(have, _)| have == key));
    adapt(&mut context);
    let span = |index: usize| Span::at(100 * index as u64, 100);
    let mut findings = Vec::new();
    let mut survey = Survey::new(style);
    for (index, (key, value)) in records.iter().enumerate() {
        let decoded = decode(key, value, &style);
        check(&decoded, value, &context, span(index), &mut |finding| findings.push(finding));
        survey.push(&decoded, value, &context);
    }
    let mut lineage = Lineage::default();
    for (index, (key, value)) in records.iter().enumerate() {
        let has = |key: &[u8]| records.iter().any(|(have, _)| have == key);
        lineage.push((key, value), &context, span(index), has, &mut |finding| findings.push(finding));
    }
    let walk = |visit: &mut cross::Visit<'_>| {
        records.iter().enumerate().for_each(|(index, (key, value))| visit(key, value, span(index)));
    };
    cross_check(&survey, &context, &walk, &mut |finding| findings.push(finding));
    findings
}

fn findings(style: Style, raw: &[Raw<'_>]) -> Vec<Finding> {
    findings_in(style, raw, |_| {})
}

/// Asserts that `rule` is broken once, by the record at `index`, and no other rule is.
#[track_caller]
fn assert_only(rule: &'static Rule, index: u64, found: &[Finding]) {
    let shown: Vec<_> = found.iter().map(|finding| (finding.rule.code, finding.span, &finding.message)).collect();
    assert!(matches!(found, [only] if only.rule == rule), "{}: {shown:?}", rule.code);
    assert_eq!(found.first().map(|finding| finding.span.start), Some(100 * index), "{shown:?}");
}

#[track_caller]
fn breaks(rule: &'static Rule, style: Style, record: Raw<'_>) {
    assert_only(rule, 0, &findings(style, &[record]));
}

#[track_caller]
fn sound(style: Style, raw: &[Raw<'_>]) {
    assert_eq!(findings(style, raw), []);
}

/// A local mailbox of 3.6 and its record under its uniqueid.
const NAMED: Raw<'static> = ("Nuser^a", "%(T e I id1 P default V 5 C 1 F 2 M 1700000000 A %(a lrs))");
const INDEXED: Raw<'static> = ("Iid1", "%(T e N user^a P default V 5 C 1 F 2 M 1700000000 A %(a lrs) H ())");
/// One of a master.
const REMOTE: Raw<'static> = ("Nuser^r", "%(T er P default S be1 M 1700000000 A %(r lrs))");
/// Records of 2.x and of 3.0.
const OLD: Raw<'static> = ("user.a", "0 default a|lrs|");
const OLD_REMOTE: Raw<'static> = ("user.r", "1 be1!default a|lrs|");
const OLD_DLIST: Raw<'static> = ("user.d", "%(A %(d lrs) I id2 P default V 5 F 2 M 1700000000)");

#[test]
fn sound_records_break_no_rule() {
    sound(Style::NEW, &[NAMED, INDEXED, REMOTE]);
    sound(Style::OLD, &[OLD, OLD_REMOTE, OLD_DLIST]);
    sound(Style::NEW, &[("Nuser^t", "%(T ed I id9 V 5 C 1 F 2 M 1700000000)"), NAMED, INDEXED]);
}

#[test]
fn rec_01_value_unreadable() {
    for value in ["", "CRASHME", "%(", "(uniqueid x", "99999999999 default "] {
        breaks(&rules::UNREADABLE, Style::OLD, ("user.a", value));
    }
}

#[test]
fn rec_02_value_bad_format() {
    for value in [
        "%(T e  I id1 P default V 5 C 1 F 2 M 1700000000 A %(a lrs))",
        "%(T e I id1 P default V 5 C 1 F 2 M 1700000000 A %(a lrs)",
        "%(T e I id1 P default V 5 C 1 F 2 M 1700000000 A %(a  lrs))",
        "%(T e I id1 P default V 5 C 1 F 2 M 1700000000 A %(a lrs)) and more",
    ] {
        let found = findings(Style::NEW, &[("Nuser^a", value), INDEXED]);
        assert_only(&rules::TOLERATED, 0, &found);
        let (key, value) = (bytes("Nuser^a"), bytes(value));
        let entry = decode(&key, &value, &Style::NEW).entry.expect("an entry all the same");
        assert_eq!(entry.partition.as_deref(), Some(&b"default"[..]));
        assert_eq!((entry.uidvalidity, entry.mtime), (Some(5), Some(1_700_000_000)));
        assert!(entry.acl.same_pairs(&Acl::from_pairs([("a", "lrs")])), "{:?}", entry.acl);
    }
    breaks(&rules::TOLERATED, Style::OLD, ("user.a", "0  default a|lrs|"));
    breaks(&rules::TOLERATED, Style::OLD, ("user.a", "0 default|a|lrs|"));
    breaks(&rules::TOLERATED, Style::OLD, ("user.a", "0 default"));
}

#[test]
fn rec_03_value_not_canonical() {
    for value in [
        "%(A %(d lrs) I id2 P default V 05 F 2 M 1700000000)",
        "%(A %(d lrs) I id2 P default V 5 F 2 M 1700000000 )",
        "%(A %(d lrs) I id2 P \"d\\efault\" V 5 F 2 M 1700000000)",
        "(specialuse \\Sent uniqueid id2) 0 default d|lrs|",
        "00 default d|lrs|",
    ] {
        breaks(&rules::NOT_EXACT, Style::OLD, ("user.d", value));
    }
}

#[test]
fn rec_04_field_twice() {
    breaks(&rules::FIELD_TWICE, Style::OLD, ("user.d", "%(A %(d lrs) P default P p2 M 1700000000)"));
}

#[test]
fn rec_05_field_shape() {
    breaks(&rules::FIELD_SHAPE, Style::OLD, ("user.d", "%(A %(d lrs) P default V %(a b) M 1700000000)"));
}

#[test]
fn rec_06_number_unreadable() {
    for number in ["x", "-1", "18446744073709551616"] {
        let value = format!("%(A %(d lrs) P default F {number} M 1700000000)");
        breaks(&rules::BAD_NUMBER, Style::OLD, ("user.d", &value));
    }
}

#[test]
fn rec_07_type_letter_aborts() {
    for letters in ["ex", "erq", "ec", "E"] {
        let value = format!("%(T {letters} I id1 P default S be1 M 1700000000 A %())");
        let found = findings(Style::NEW, &[("Nuser^a", &value)]);
        assert!(found.iter().any(|f| f.rule == &rules::LETTER_ABORTS), "{letters}: {found:?}");
    }
    breaks(&rules::LETTER_ABORTS, Style::NEW, ("Nuser^r", "%(T erq P default S be1 M 1700000000 A %())"));
    breaks(&rules::LETTER_ABORTS, Style::JSON, ("user.r", r#"{"mbtype":"erq","partition":"p","server":"be1"}"#));
}

#[test]
fn rec_08_type_letter_unknown() {
    breaks(&rules::LETTER_IGNORED, Style::OLD, ("user.d", "%(A %(d lrs) P default T q M 1700000000)"));
    sound(Style::OLD, &[("user.d", "%(A %(d lrs) P default T c M 1700000000)")]);
}

#[test]
fn rec_09_type_number_unknown() {
    breaks(&rules::NUMBER_BITS, Style::OLD, ("user.a", "2048 default a|lrs|"));
}

#[test]
fn rec_10_old_value_in_new_key() {
    let record = ("Nuser^r", "1 be1!default r|lrs|");
    let found = findings(Style::NEW, &[record, REMOTE]);
    assert!(found.iter().any(|f| f.rule == &rules::OLD_VALUE && f.message.contains("reads as n")), "{found:?}");
    assert!(found.iter().all(|f| f.span.start == 0));
}

#[test]
fn rec_11_type_letter_missing() {
    breaks(&rules::TYPE_LOST, Style::NEW, ("Nuser^r", "%(T r P default S be1 M 1700000000 A %())"));
}

#[test]
fn rec_12_server_without_remote() {
    breaks(&rules::SERVER_NOT_REMOTE, Style::OLD, ("user.r", "0 be1!default r|lrs|"));
    let found = findings(Style::NEW, &[("Nuser^r", "%(T n P default S be1 M 1700000000 A %(r lrs))")]);
    assert_only(&rules::SERVER_NOT_REMOTE, 0, &found);
    assert!(found.iter().all(|f| f.message.contains("number 1, remote")), "{found:?}");
}

#[test]
fn rec_13_remote_without_server() {
    breaks(&rules::REMOTE_NO_SERVER, Style::OLD, ("user.r", "%(A %(r lrs) P default T r M 1700000000)"));
}

#[test]
fn rec_14_location_as_partition() {
    breaks(&rules::PARTITION_IS_LOCATION, Style::OLD, ("user.r", "%(A %(r lrs) P be1!default T r M 1700000000)"));
}

#[test]
fn rec_15_server_unusable() {
    breaks(&rules::SERVER_SHAPE, Style::NEW, ("Nuser^r", "%(T er P default S be1!default M 1700000000 A %())"));
    breaks(&rules::SERVER_SHAPE, Style::NEW, ("Nuser^r", "%(T er P default S \"be 1\" M 1700000000 A %())"));
}

#[test]
fn rec_16_partition_missing() {
    breaks(&rules::PARTITION_MISSING, Style::OLD, ("user.d", "%(A %(d lrs) I id2 V 5 F 2 M 1700000000)"));
    breaks(&rules::PARTITION_MISSING, Style::OLD, ("user.d", "%(A %(d lrs) I id2 P \"\" V 5 F 2 M 1700000000)"));
    sound(Style::OLD, &[("user.r", "%(A %(d lrs) S default T r M 1700000000)")]);
    sound(Style::OLD, &[("user.d", "%(I id2 T d V 5 M 1700000000)"), ("user.i", "%(I id3 T i C 1 F 1 M 1700000000)")]);
}

#[test]
fn rec_17_partition_empty() {
    breaks(&rules::PARTITION_EMPTY, Style::NEW, ("Nuser^r", "%(T er P \"\" S be1 M 1700000000 A %(r lrs))"));
}

#[test]
fn rec_18_partition_unusable() {
    let long = format!("0 {} a|lrs|", "p".repeat(64));
    breaks(&rules::PARTITION_SHAPE, Style::OLD, ("user.a", &long));
    breaks(&rules::PARTITION_SHAPE, Style::OLD, ("user.d", "%(A %(d lrs) P \"p 1\" M 1700000000)"));
}

#[test]
fn rec_19_null_as_text() {
    breaks(&rules::NULL_PRINTED, Style::OLD, ("user.d", "%(A %() P \"(null)\" T d M 1700000000)"));
    breaks(&rules::NULL_PRINTED, Style::OLD, ("user.a", "0 default (null)"));
}

#[test]
fn rec_20_deleted_and_remote() {
    breaks(&rules::DELETED_REMOTE, Style::NEW, ("Nuser^r", "%(T edr P default S be1 M 1700000000 A %())"));
}

#[test]
fn rec_21_reserved_with_acl() {
    breaks(&rules::RESERVED_ACL, Style::NEW, ("Nuser^r", "%(T erz P default S be1 M 1700000000 A %(r lrs))"));
    sound(Style::OLD, &[("user.r", "3 be1!default ")]);
}

#[test]
fn rec_22_acl_odd() {
    breaks(&rules::ACL_ODD, Style::OLD, ("user.a", "0 default a|lrs|b|"));
}

#[test]
fn rec_23_acl_identifier_twice() {
    breaks(&rules::ACL_TWICE, Style::OLD, ("user.a", "0 default a|lrs|b|l|a|p|"));
    breaks(&rules::ACL_TWICE, Style::NEW, ("Nuser^r", "%(T er P default S be1 M 1700000000 A %(r lrs r l))"));
}

#[test]
fn rec_24_acl_rights_unknown() {
    breaks(&rules::ACL_RIGHTS, Style::OLD, ("user.a", "0 default a|lrsZ|"));
}

#[test]
fn rec_25_acl_tab_missing() {
    breaks(&rules::ACL_TAB, Style::OLD, ("user.a", "0 default a|lrs"));
}

#[test]
fn rec_26_name_illegal_byte() {
    for name in ["user.a/b", "user.d\u{e9}", "user.50%", "user.\u{1}"] {
        breaks(&rules::NAME_BYTES, Style::OLD, (name, OLD.1));
    }
    let mut raw = REMOTE;
    raw.0 = "Nuser^x!y";
    breaks(&rules::NAME_BYTES, Style::NEW, raw);
}

#[test]
fn rec_27_name_too_long() {
    let name = |len: usize| format!("user.{}", "x".repeat(len - 5));
    breaks(&rules::NAME_LONG, Style::OLD, (&name(491), OLD.1));
    sound(Style::OLD, &[(&name(490), OLD.1)]);
    breaks(&rules::NAME_LONG, Style::NEW, (&format!("Nuser^{}", "x".repeat(506)), REMOTE.1));
    sound(Style::NEW, &[(&format!("Nuser^{}", "x".repeat(505)), REMOTE.1)]);
}

#[test]
fn rec_28_name_empty_element() {
    for name in ["user..a", ".a", "user.a.", "example.com!"] {
        breaks(&rules::NAME_ELEMENT, Style::OLD, (name, OLD.1));
    }
    breaks(&rules::NAME_ELEMENT, Style::NEW, ("Nuser^^a", REMOTE.1));
}

#[test]
fn rec_29_deleted_without_time() {
    breaks(&rules::DELETED_TIME, Style::OLD, ("DELETED.user.a", OLD.1));
    sound(Style::OLD, &[("DELETED.user.a.5C3F0A11", OLD.1)]);
}

#[test]
fn rec_30_uniqueid_missing() {
    breaks(&rules::UNIQUEID_MISSING, Style::NEW, ("Nuser^a", "%(T e P default M 1700000000 A %(a lrs))"));
}

#[test]
fn rec_31_uidvalidity_zero() {
    breaks(&rules::UIDVALIDITY_ZERO, Style::OLD, ("user.d", "%(A %(d lrs) P default V 0 M 1700000000)"));
}

#[test]
fn rec_32_mtime_implausible() {
    breaks(&rules::MTIME, Style::OLD, ("user.d", "%(A %(d lrs) P default M 12)"));
    let late = |now| findings_in(Style::NEW, &[REMOTE], |context| context.now = Some(now));
    assert_only(&rules::MTIME, 0, &late(1_600_000_000));
    assert_eq!(late(1_700_000_001), []);
}

#[test]
fn rec_33_key_unknown() {
    breaks(&rules::KEY_UNKNOWN, Style::NEW, ("user.d", OLD_DLIST.1));
    breaks(&rules::KEY_UNKNOWN, Style::NEW, ("AQ~x", ""));
}

#[test]
fn rec_34_index_value() {
    breaks(&rules::INDEX_VALUE, Style::NEW, ("UGa~b", "x"));
    sound(Style::NEW, &[("AS~", ""), ("UGa~b", "")]);
    sound(Style::OLD, &[("$RACL", "3"), ("$RUNQ", "1")]);
}

#[test]
fn rec_35_version_key() {
    breaks(&rules::VERSION_KEY, Style::NEW, ("^VER^", "2"));
}

#[test]
fn rec_36_index_record_nameless() {
    let found = findings(Style::NEW, &[NAMED, INDEXED, ("Jx~P-F", "%(T e N user^a P default A %())")]);
    assert!(found.iter().any(|f| f.rule == &rules::NAMELESS && f.span.start == 200), "{found:?}");
    let found = findings(Style::NEW, &[("Iid1", "%(T e P default M 1700000000 A %())")]);
    assert!(found.iter().any(|f| f.rule == &rules::NAMELESS), "{found:?}");
}

#[test]
fn rec_37_role_mismatch() {
    let under = |role, raw: &[Raw<'_>]| {
        findings_in(Style::NEW, raw, |context| {
            context.role = Some(role);
            context.servername = Some(b"BE1".to_vec());
        })
    };
    let local = [NAMED, INDEXED];
    assert_only(&rules::ROLE, 0, &under(Role::Master, &local));
    assert_only(&rules::ROLE, 0, &under(Role::Frontend, &local));
    assert_only(&rules::ROLE, 0, &under(Role::Backend, &[REMOTE]));
    assert_only(&rules::ROLE, 0, &under(Role::Unified, &[REMOTE]));
    assert_eq!(under(Role::Backend, &local), []);
    assert_eq!(under(Role::Master, &[REMOTE]), []);
}

#[test]
fn rec_38_uniqueid_record_orphan() {
    assert_only(&rules::UNIQUEID_ORPHAN, 0, &findings(Style::NEW, &[INDEXED, REMOTE]));
    let tombstone = ("Iid7", "%(T ed N user^gone V 5 C 1 F 2 M 1700000000 H ())");
    assert_only(&rules::UNIQUEID_ORPHAN, 2, &findings(Style::NEW, &[NAMED, INDEXED, tombstone]));
}

#[test]
fn rec_39_uniqueid_record_missing() {
    assert_only(&rules::UNIQUEID_NO_RECORD, 0, &findings(Style::NEW, &[NAMED, REMOTE]));
}

#[test]
fn rec_40_uniqueid_record_differs() {
    for (from, to, field) in [
        ("T e ", "T c ", "mbtype"),
        ("default", "p2", "partition"),
        ("V 5", "V 6", "uidvalidity"),
        ("C 1", "C 3", "createdmodseq"),
        ("F 2", "F 3", "foldermodseq"),
        ("a lrs", "a l", "acl"),
    ] {
        let found = findings(Style::NEW, &[NAMED, (INDEXED.0, &INDEXED.1.replace(from, to))]);
        assert_only(&rules::UNIQUEID_DIFFERS, 1, &found);
        assert!(found.iter().all(|f| f.message.contains(field)), "{found:?}");
    }
    let found = findings(Style::NEW, &[NAMED, (INDEXED.0, &INDEXED.1.replace("user^a", "user^b"))]);
    assert_only(&rules::UNIQUEID_DIFFERS, 1, &found);
    sound(Style::NEW, &[NAMED, (INDEXED.0, &INDEXED.1.replace("A %(a lrs)", "A %(\"a\" lrs)"))]);
}

#[test]
fn rec_41_uniqueid_twice() {
    let found = findings(Style::OLD, &[OLD_DLIST, ("user.e", OLD_DLIST.1)]);
    assert_only(&rules::UNIQUEID_TWICE, 1, &found);
    assert!(found.iter().all(|f| f.message.contains("user.d") && f.message.contains("user.e")), "{found:?}");
    let found = findings(Style::NEW, &[NAMED, INDEXED, ("Nuser^b", NAMED.1)]);
    assert_only(&rules::UNIQUEID_TWICE, 2, &found);
    sound(Style::OLD, &[OLD_DLIST, ("user.e", "%(I id2 T d V 5 M 1700000000)")]);
}

/// A shared mailbox, and its keys in a database with reverse ACLs.
const SHARED: Raw<'static> = ("Npub", "%(T er P default S be1 M 1700000000 A %(anyone lrs cyrus lrswipkxtecda x p))");

#[test]
fn rec_42_reverse_acl_missing() {
    let marker = ("AS~", "");
    sound(Style::NEW, &[marker, ("AS~anyone~pub", ""), SHARED, REMOTE]);
    assert_only(&rules::RACL_MISSING, 1, &findings(Style::NEW, &[marker, SHARED]));
    sound(Style::NEW, &[SHARED]);
    let old = ("pub", "%(A %(anyone lrs bob r) P default S be1 T r M 1700000000)");
    sound(Style::OLD, &[("$RACL", ""), ("$RACL$S$anyone$pub", ""), old]);
    assert_only(&rules::RACL_MISSING, 1, &findings(Style::OLD, &[("$RACL", ""), old]));
}

#[test]
fn reverse_acls_leave_out_owners_and_admins() {
    let owner = ("Nuser^r", "%(T er P default S be1 M 1700000000 A %(r lrs boss lrs -eve l))");
    let keys = [("AS~", ""), ("AU~-eve~user^r", ""), owner];
    sound(Style::NEW, &keys);
    let found = findings_in(Style::NEW, &[keys[0], keys[2]], |context| context.admins = vec![b"boss".to_vec()]);
    assert_only(&rules::RACL_MISSING, 1, &found);
}

#[test]
fn rec_43_reverse_acl_extra() {
    let found = findings(Style::NEW, &[("AS~", ""), ("AS~anyone~pub", ""), ("AS~anyone~gone", ""), SHARED]);
    assert_only(&rules::RACL_EXTRA, 2, &found);
}

#[test]
fn rec_44_uniqueid_index_missing() {
    let marker = ("$RUNQ", "1");
    sound(Style::OLD, &[marker, ("$RUNQ$id2$user.d", ""), OLD_DLIST]);
    assert_only(&rules::RUNQ_MISSING, 1, &findings(Style::OLD, &[marker, OLD_DLIST]));
}

#[test]
fn rec_45_uniqueid_index_extra() {
    let found = findings(Style::OLD, &[("$RUNQ", "1"), ("$RUNQ$id2$user.d", ""), ("$RUNQ$id3$user.x", ""), OLD_DLIST]);
    assert_only(&rules::RUNQ_EXTRA, 2, &found);
}

#[test]
fn rec_46_jmap_record_orphan() {
    let named = (NAMED.0, "%(T e I id1 J P-F P default V 5 C 1 F 2 M 1700000000 A %(a lrs))");
    let indexed = (INDEXED.0, "%(T e N user^a J P-F P default V 5 C 1 F 2 M 1700000000 A %(a lrs) H ())");
    let jmap = ("Ja~P-F", "%(T e N user^a I id1 P default V 5 C 1 F 2 M 1700000000 A %(a lrs))");
    sound(Style::NEW, &[indexed, jmap, named]);
    sound(Style::NEW, &[indexed, named]);
    let found = findings(Style::NEW, &[indexed, (jmap.0, &jmap.1.replace("user^a", "user^gone")), named]);
    assert_only(&rules::JMAP_ORPHAN, 1, &found);
}

#[test]
fn rec_47_field_unknown() {
    for field in ["X 1", "XY (a b)", "X %(Q %(r s))", "N user^z", "\"Z z\" NIL"] {
        let value = format!("%(T er P default {field} S be1 M 1700000000 A %(r lrs))");
        breaks(&rules::FIELD_UNKNOWN, Style::NEW, (REMOTE.0, &value));
        let (key, value) = (bytes(REMOTE.0), bytes(&value));
        let entry = decode(&key, &value, &Style::NEW).entry.expect("an entry");
        assert_eq!(entry.unknown.len(), 1);
        assert_eq!(encode(&entry, Numbering::New), value, "{field}");
    }
}

#[test]
fn rec_48_inbox_missing() {
    let sub = |key| (key, "%(T er P default S be1 M 1700000000 A %(r lrs))");
    let found = findings(Style::NEW, &[sub("Nuser^q^Drafts"), sub("Nuser^q^Sent"), REMOTE, sub("Nuser^r^Sent")]);
    assert_only(&rules::INBOX_MISSING, 0, &found);
    assert_only(&rules::INBOX_MISSING, 1, &findings(Style::OLD, &[OLD_REMOTE, ("user.s.Sent", OLD_REMOTE.1)]));
    let gone = ("Nuser^q^gone", "%(T ed I id7 V 5 C 1 F 2 M 1700000000)");
    let indexed = ("Iid7", "%(T ed N user^q^gone V 5 C 1 F 2 M 1700000000 H ())");
    assert_eq!(findings(Style::NEW, &[gone, indexed]), []);
}

#[test]
fn rec_49_parent_missing() {
    let there = |key| (key, "%(T er P default S be1 M 1700000000 A %(r lrs))");
    assert_only(&rules::PARENT_MISSING, 0, &findings(Style::NEW, &[there("Npub^a^b")]));
    let found = findings(Style::NEW, &[there("Npub"), there("Npub-a"), there("Npub^a"), there("Npub^a^b^c")]);
    assert_only(&rules::PARENT_MISSING, 3, &found);
    let old = |key| (key, OLD_REMOTE.1);
    let sound = [old("example.org!pub"), old("example.org!pub-a"), old("example.org!pub.a"), old("user.r")];
    assert_eq!(findings(Style::OLD, &sound), []);
    assert_eq!(findings(Style::OLD, &[old("DELETED.user.x.Sub.5C3F0A11")]), []);
}

/// Rows of a table of FORMAT.md: their first and third cells.
fn rows(heading: &str) -> Vec<(String, String)> {
    let document = include_str!("../src/record/FORMAT.md");
    let section = document.split("\n## ").find(|section| section.starts_with(heading)).expect("the section");
    let cells = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix('|')?.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        Some((cells.next()?, cells.nth(1)?))
    };
    section.lines().filter_map(cells).filter(|(first, _)| !first.starts_with('-')).skip(1).collect()
}

/// Names of this file's test functions that start with `prefix`.
fn tests(prefix: &str) -> BTreeSet<String> {
    let source = include_str!("record_rules.rs");
    let names = source.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn document_rules_and_tests_agree() {
    let documented = rows("Requirements");
    let codes: Vec<&str> = rules::ALL.iter().map(|rule| rule.code).collect();
    assert_eq!(documented.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), codes);
    assert_eq!(documented.iter().map(|(_, test)| test.clone()).collect::<BTreeSet<_>>(), tests("rec_"));
    for (number, (rule, (_, test))) in (1..).zip(rules::ALL.iter().zip(&documented)) {
        assert_eq!(rule.code, format!("REC-{number}"));
        assert_eq!(*test, format!("rec_{number:02}_{}", rule.name.replace('-', "_")));
    }
}

#[test]
fn damage_classes_name_the_tests_of_their_rules() {
    let known = tests("rec_");
    for (class, test) in rows("Damage") {
        assert!(known.contains(&test), "{class}: {test}");
    }
}

#[test]
fn what_a_healthy_cyrus_writes_is_at_most_a_note() {
    let usual = [&rules::NOT_EXACT, &rules::PARTITION_EMPTY, &rules::JMAP_ORPHAN, &rules::DELETED_TIME];
    assert!(usual.iter().all(|rule| rule.severity == Severity::Note));
}
