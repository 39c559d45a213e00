//! Where in a resource we are: a chain of frames on the stack, written out only when there is a fault.

use std::fmt;

#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Root(&'a str),
    Field(&'a str),
    Index(usize),
}

#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    up: Option<&'a At<'a>>,
    step: Step<'a>,
}

impl<'a> At<'a> {
    pub(super) fn root(name: &'a str) -> Self {
        Self { up: None, step: Step::Root(name) }
    }

    pub(super) fn field(&'a self, name: &'a str) -> At<'a> {
        At { up: Some(self), step: Step::Field(name) }
    }

    pub(super) fn index(&'a self, index: usize) -> At<'a> {
        At { up: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
        }
        match self.step {
            Step::Root(name) => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Longest name from outside that is said back whole.
pub(super) const SHOWN_CHARS_MAX: usize = 40;

/// A name from outside, fit to be shown: printable ASCII, at most 40 characters.
pub(super) fn shown(name: &str) -> String {
    let mut out: String =
        name.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_ascii_graphic() && c != '`' { c } else { '?' }).collect();
    if name.chars().nth(SHOWN_CHARS_MAX).is_some() {
        out.push_str("...");
    }
    out
}
