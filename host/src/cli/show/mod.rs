//! What the commands print for people: words, tables and colours.

mod colour;
mod table;
mod words;

pub(super) use colour::{Colours, Tone};
pub(super) use table::{Cell, Table};
pub(super) use words::{ago, escaped, no_controls, nodes, percent, short};
