//! Tables for people: columns as wide as their longest cell, two spaces between.

use crate::output::palette::Palette;

/// How much a cell wants to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As any other text.
    Usual,
    /// All is well.
    Good,
    /// Worth a look.
    Uneasy,
    /// Something failed.
    Bad,
}

/// One field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub(crate) fn toned(text: &impl ToString, tone: Tone) -> Self {
        // A cell is one line, and what a peer wrote into it must not steer the terminal.
        let text = text.to_string();
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { text, tone }
    }

    /// It as it is written, alone.
    pub(crate) fn painted(&self, palette: Palette) -> String {
        match self.tone {
            Tone::Usual => self.text.clone(),
            Tone::Good => palette.green(&self.text),
            Tone::Uneasy => palette.yellow(&self.text),
            Tone::Bad => palette.red(&self.text),
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(&text, Tone::Usual)
    }
}

/// Writes rows of as many cells as there are headings.
pub(crate) fn table<const N: usize>(
    headings: [&str; N],
    rows: &[[Cell; N]],
    palette: Palette,
) -> String {
    lines(headings, rows, palette).concat()
}

/// The lines of such a table: that of the headings, then one for each row.
pub(crate) fn lines<const N: usize>(
    headings: [&str; N],
    rows: &[[Cell; N]],
    palette: Palette,
) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.max().unwrap_or(0).max(headings[column].len())
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let head = headings.map(|heading| (heading.len(), palette.bold(heading)));
    let written = |cell: &Cell| (cell.width(), cell.painted(palette));
    let rows = rows.iter().map(|row| line(&row.each_ref().map(written), &widths));
    std::iter::once(line(&head, &widths)).chain(rows).collect()
}

/// Writes names and values, the values in one column. Pairs without a value are left out.
pub(crate) fn pairs(pairs: &[(&str, Option<Cell>)], palette: Palette) -> String {
    let shown = pairs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let width = shown.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    let row = |(name, value): (&&str, &Cell)| {
        let cells = [(name.len(), palette.bold(name)), (value.width(), value.painted(palette))];
        line(&cells, &[width, 0])
    };
    shown.map(row).collect()
}

/// One line of cells, each with the width it takes on the screen; the last is not padded.
fn line(cells: &[(usize, String)], widths: &[usize]) -> String {
    let mut text = String::new();
    for (index, (width, painted)) in cells.iter().enumerate() {
        let last = index + 1 == cells.len();
        let padding = if last { 0 } else { widths[index].saturating_sub(*width) + GAP };
        text += painted;
        text.extend(std::iter::repeat_n(' ', padding));
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Spaces between two columns.
const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [[Cell; 3]; 2] {
        [
            ["a".into(), Cell::toned(&"listening", Tone::Good), "".into()],
            ["long é".into(), Cell::toned(&"failed", Tone::Bad), "no\x1b[2J".into()],
        ]
    }

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let expected = "\
NAME    STATE      NOTE
a       listening
long é  failed     no [2J
";
        assert_eq!(expected, table(["NAME", "STATE", "NOTE"], &rows(), Palette::Plain));
    }

    #[test]
    fn colour_changes_no_column() {
        let coloured = table(["NAME", "STATE", "NOTE"], &rows(), Palette::Colour);
        assert!(coloured.contains("\x1b[32mlistening\x1b[0m"));
        let mut stripped = coloured;
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[1;31m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(table(["NAME", "STATE", "NOTE"], &rows(), Palette::Plain), stripped);
    }

    #[test]
    fn pairs_without_a_value_are_left_out() {
        let given = [("pid", Some(7.into())), ("error", None), ("version", Some("1".into()))];
        assert_eq!("pid      7\nversion  1\n", pairs(&given, Palette::Plain));
    }
}
