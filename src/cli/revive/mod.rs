//! `coroner revive`.

mod survivors;
mod write;

use std::path::PathBuf;

use coroner::failure::Failure;
use coroner::render::text::{count, printable, rfc3339};

use super::args::{Common, WritableName};
use super::out::Out;
use super::{Done, Outcome};
use survivors::{Part, Survivor, find};

/// Bring a murder back from whatever survived: databases, dumps, .NEW files, backups of any of its hosts
///
/// Says which file is good for what, and which commands to give in which order. With -o it writes the master's list, one for
/// every frontend, what each backend's push will then say, the conflicts, and the plan. Whose list a file is stands in
/// DIR/revive.toml, or is guessed from what the lists say of each other, and shown.
/// Exit status 1 says that sources contradict each other, that one is damaged, or that a file was of no use.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
revive.toml names the files that count, and whose they are:

  [[witness]]
  file = \"be1-mailboxes.db\"
  host = \"be1.example.com\"
  role = \"backend\"          # backend, master or frontend

Examples:
  coroner revive /srv/rescued
  coroner revive /srv/rescued -o /srv/revived")]
pub struct Args {
    /// The folder with what survived
    dir: PathBuf,
    /// A new folder for what is made; without it only the plan is shown
    #[arg(short, long, value_name = "OUTDIR")]
    output: Option<PathBuf>,
    /// Write nothing, even with -o
    #[arg(long)]
    dry_run: bool,
    /// The format to write
    #[arg(long, value_enum, default_value = "twoskip", value_name = "FORMAT")]
    to: WritableName,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let (survivors, aside) = find(&args.dir, common)?;
    let mut lines =
        vec![format!("# What survived in {}", printable(args.dir.as_os_str().as_encoded_bytes())), String::new()];
    lines.extend(survivors.iter().map(describe));
    lines.extend(aside.iter().map(|(file, why)| format!("- {file}: left aside: {why}")));
    if !survivors.iter().any(|survivor| survivor.part != Part::Older) {
        return Err(Failure::file(
            &args.dir,
            "no mailbox list in it",
            "copy there what survived of the murder's hosts",
        ));
    }
    lines.extend(plan(args, &survivors));
    lines.iter().try_for_each(|line| out.line(line))?;
    let faulty = !aside.is_empty() || survivors.iter().any(|survivor| !survivor.witness.sound);
    let written = match &args.output {
        Some(folder) if !args.dry_run => {
            out.line("")?;
            write::all(args, folder, &survivors, &lines, common, out)?
        }
        _ => Outcome::Clean,
    };
    Ok(written.max(Outcome::findings_if(faulty)))
}

/// A survivor in one line.
fn describe(survivor: &Survivor) -> String {
    let witness = &survivor.witness;
    let date = rfc3339(witness.newest).filter(|_| witness.newest > 0);
    let date = date.map_or_else(String::new, |date| format!(", last written {date}"));
    let state = if witness.sound { "sound" } else { "damaged: all that can be read counts" };
    let (file, host) = (survivor.name(), survivor.host());
    let good = match survivor.part {
        Part::Backend => format!("the list of backend {host}: says which mailboxes exist there"),
        Part::Base => {
            "a master's or frontend's list, the best one: says where a mailbox is that two backends have".into()
        }
        Part::Frontend => "another master's or frontend's list".into(),
        Part::Older => {
            format!("a lesser copy of {host}'s list: `coroner recover` can ask it (--witness) what a better one lost")
        }
    };
    let mailboxes = count(witness.mailboxes, "mailbox");
    format!("- {file}: {mailboxes}{date}, {state}; {good} ({})", survivor.evidence)
}

/// What to do, in order, and what not.
fn plan(args: &Args, survivors: &[Survivor]) -> Vec<String> {
    let of = |part: Part| survivors.iter().filter(move |survivor| survivor.part == part);
    let shown =
        args.output.as_ref().map_or_else(|| "OUTDIR".into(), |path| printable(path.as_os_str().as_encoded_bytes()));
    let mut lines: Vec<String> = vec![String::new(), "# Plan".into(), String::new()];
    let mut step = |text: String| lines.push(text);
    if args.output.is_none() || args.dry_run {
        step(format!("0. Make the lists: `coroner revive {} -o {shown}`.", args.dir.display()));
    }
    step("1. Stop Cyrus on the master and on every frontend, and keep it stopped. A frontend that finds an empty master forgets all its mailboxes.".into());
    step("2. Keep what is there: on each of these hosts move mailboxes.db and mailboxes.db.NEW aside, do not delete them.".into());
    step(
        "3. Read conflicts.jsonl. What is decided otherwise there, give back with `coroner merge … --decisions`."
            .into(),
    );
    step(format!("4. On the master: `install -o cyrus -g mail -m 600 {shown}/master.db /var/lib/cyrus/mailboxes.db`."));
    for frontend in survivors.iter().filter(|survivor| survivor.is_frontend()) {
        let host = frontend.host();
        step(format!(
            "   On {host}: `install -o cyrus -g mail -m 600 {shown}/frontend-{host}.db /var/lib/cyrus/mailboxes.db`."
        ));
    }
    step("5. Start Cyrus on the master only, of the release series that the list was written for. The upgrade in `ctl_cyrusdb -r` of 3.6 and later drops every entry of an older list.".into());
    for backend in of(Part::Backend) {
        let host = backend.host();
        step(format!(
            "6. On {host}: `ctl_mboxlist -m -w`, and compare with {shown}/push-{host}.txt. More lines mean that the list has changed since."
        ));
        step("   Any `Remove Local Mailbox` deletes a mailbox with its messages: settle it first.".into());
        step(
            "   Then `ctl_mboxlist -m`. Not `-a` on two backends that have the same mailbox: the last one wins.".into(),
        );
    }
    step("7. Start the frontends. Each reads the master's list and then agrees with it.".into());
    step("8. Check: `coroner drift --master … --frontend … --backend …` on copies must find nothing.".into());
    step("Don't load a dump of a master with `ctl_mboxlist -u`: 3.6 and later pass over all of its entries.".into());
    lines
}
