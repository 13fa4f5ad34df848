//! Colours, where they help and are wanted.

use anstyle::{AnsiColor, Style};
use std::ffi::OsStr;
use std::io::IsTerminal as _;

/// What a text is to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    Plain,
    /// The head of a table.
    Head,
    Good,
    /// Worth a look.
    Warn,
    Bad,
}

/// Whether tones are shown.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Colours(bool);

impl Colours {
    /// None, as for a file.
    #[cfg(test)]
    pub(in crate::cli) const NONE: Self = Self(false);

    /// What suits standard output: a terminal has them unless `NO_COLOR` holds
    /// anything.
    pub(in crate::cli) fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").as_deref() == Some(OsStr::new("dumb"));
        Self(std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb)
    }

    /// The text in its tone.
    pub(in crate::cli) fn paint(self, text: &str, tone: Tone) -> String {
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Head => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
        };
        if self.0 && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_end_where_they_should_and_are_left_out_where_they_must() {
        assert_eq!(
            Colours(true).paint("away", Tone::Warn),
            "\u{1b}[33maway\u{1b}[0m"
        );
        assert_eq!(Colours(true).paint("away", Tone::Plain), "away");
        assert_eq!(Colours(true).paint("", Tone::Bad), "");
        assert_eq!(Colours::NONE.paint("away", Tone::Warn), "away");
    }
}
