//! Annotated bytes: a tile's label, offset and fields above its bytes.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use hexyl::{BorderStyle, PrinterBuilder};

use super::text::{finding_line, printable, size, value};
use crate::formats::finding::{Finding, Severity};
use crate::formats::image::Parts;
use crate::formats::tile::{Kind, Tile};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

/// Writes tiles for people, in colours or without.
#[derive(Clone, Debug)]
pub struct Annotator<'a> {
    files: Parts<'a>,
    colour: bool,
}

impl<'a> Annotator<'a> {
    /// For the tiles of a database that consists of these files.
    pub fn new(files: Parts<'a>, colour: bool) -> Self {
        Annotator { files, colour }
    }

    /// A tile, what was found wrong in it, and its bytes.
    pub fn tile(&self, tile: &Tile<'_>, findings: &[&Finding]) -> String {
        let mut text = String::new();
        let (start, end) = (tile.span.start, tile.span.end);
        let kind = self.paint(kind_style(tile.kind), tile.kind.as_str());
        let label = self.paint(BOLD, &printable(tile.label.as_bytes()));
        let _ = writeln!(text, "0x{start:08X}-0x{end:08X} {kind} {label} ({})", size(tile.span.len()));
        for finding in findings {
            let _ = writeln!(text, "  {}", self.paint(severity_style(finding.severity()), &finding_line(finding)));
        }
        let width = tile.fields.iter().map(|field| field.name.len()).max().unwrap_or_default();
        for field in &tile.fields {
            let place = self.paint(DIM, &format!("0x{:08X}+{:<5}", field.span.start, field.span.len()));
            let _ = writeln!(text, "  {place} {:width$} {}", field.name, value(&field.value));
        }
        text.push_str(&self.bytes(tile));
        text.push('\n');
        text
    }

    /// A tile's bytes, long repetitions shortened.
    fn bytes(&self, tile: &Tile<'_>) -> String {
        let bytes = self.files.span(tile.span).unwrap_or_default();
        let mut dump = Vec::with_capacity(bytes.len().min(1 << 16) * 6);
        let mut printer = PrinterBuilder::new(&mut dump)
            .show_color(self.colour)
            .with_border_style(BorderStyle::None)
            .enable_squeezing(true)
            .build();
        let printed = printer.display_offset(tile.span.start).print_all(bytes);
        debug_assert!(printed.is_ok(), "writing to memory");
        let dump = String::from_utf8_lossy(&dump);
        dump.lines().fold(String::new(), |text, line| text + " " + line.trim_end() + "\n")
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn kind_style(kind: Kind) -> Style {
    match kind {
        Kind::Record | Kind::Header | Kind::Page | Kind::Dummy => GREEN,
        Kind::Torn | Kind::Gap | Kind::Zeros => RED,
        Kind::Delete | Kind::Commit => YELLOW,
        Kind::Padding | Kind::Markup => DIM,
    }
}

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Error => RED,
        Severity::Warning => YELLOW,
        Severity::Note => DIM,
    }
}
