//! Colour, where it helps and is wanted.

use std::collections::BTreeMap;

/// Whether text may carry colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    /// Text alone, for pipes and for those who asked for it.
    Plain,
    /// The sixteen colours that every terminal has.
    Colour,
}

impl Palette {
    /// Colour on a terminal, unless `NO_COLOR` is set to anything or the terminal is `dumb`.
    pub(crate) fn of(is_terminal: bool, environment: &BTreeMap<String, String>) -> Self {
        let refused = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        if is_terminal && !refused && !dumb { Self::Colour } else { Self::Plain }
    }

    /// For what failed.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// For what needs a look.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For what is well.
    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For headings.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn palette(is_terminal: bool, variables: &[(&str, &str)]) -> Palette {
        let map = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Palette::of(is_terminal, &map)
    }

    #[test]
    fn colour_needs_a_terminal() {
        assert_eq!(Palette::Colour, palette(true, &[("TERM", "xterm")]));
        assert_eq!(Palette::Plain, palette(false, &[("TERM", "xterm")]));
    }

    #[test]
    fn colour_can_be_refused() {
        assert_eq!(Palette::Plain, palette(true, &[("NO_COLOR", "1")]));
        assert_eq!(Palette::Plain, palette(true, &[("TERM", "dumb")]));
        assert_eq!(Palette::Colour, palette(true, &[("NO_COLOR", "")]));
    }
}
