//! The fault of a value in the file, and its cure.

/// The fault of a text.
#[derive(Debug)]
pub(in crate::config) struct Fault {
    pub(in crate::config) what: String,
    pub(in crate::config) help: Option<String>,
    /// Whether the message starts with the text itself.
    pub(in crate::config) quote: bool,
    /// What of it holds pieces of the text.
    pieces: Pieces,
}

/// Where a fault holds pieces of the text that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pieces {
    Nowhere,
    InHelp,
    Anywhere,
}

impl Fault {
    /// `what` goes on from the text: "is not a duration".
    pub(in crate::config) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: None,
            quote: true,
            pieces: Pieces::Nowhere,
        }
    }

    /// `what` stands alone.
    pub(in crate::config) fn about(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: None,
            quote: false,
            pieces: Pieces::Nowhere,
        }
    }

    /// What to write instead, in words of ours alone.
    pub(in crate::config) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to write instead, made from the text.
    pub(in crate::config) fn respelled(self, help: impl Into<String>) -> Self {
        Self {
            pieces: Pieces::InHelp,
            ..self.help(help)
        }
    }

    /// Puts back what was cut from the text before it was read, where the help writes the text
    /// anew.
    pub(in crate::config) fn in_front(mut self, start: &str) -> Self {
        if self.pieces == Pieces::InHelp {
            self.help = self
                .help
                .map(|help| help.replacen('"', &format!("\"{start}"), 1));
        }
        self
    }

    /// `what` holds pieces of the text, and the help perhaps as well.
    pub(in crate::config) fn with_pieces(self) -> Self {
        Self {
            pieces: Pieces::Anywhere,
            ..self
        }
    }

    /// The fault of a text that variables were filled into. Values from the environment are not
    /// shown: one may be a secret in the wrong place.
    pub(in crate::config) fn without_pieces(self) -> Self {
        match self.pieces {
            Pieces::Nowhere => self,
            Pieces::InHelp => Self { help: None, ..self },
            Pieces::Anywhere => Self {
                what: "is wrong once its variables are filled in".to_owned(),
                help: None,
                ..self
            },
        }
    }
}
