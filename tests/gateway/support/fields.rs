//! Header lists as they were on the wire: order, spelling and repetition kept.

/// A header or trailer list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// Every value under `name`, any letter case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.0
            .iter()
            .filter(same)
            .map(|field| field.1.as_str())
            .collect()
    }

    /// The only value under `name`; `None` when there is none.
    ///
    /// # Panics: when the field came twice.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came {} times: {self:?}", all.len());
        all.first().copied()
    }

    /// The names in lower case, sorted: what a whole-list comparison starts from.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .iter()
            .map(|field| field.0.to_ascii_lowercase())
            .collect();
        names.sort();
        names
    }

    /// Whether a comma-separated list under `name` holds `token`.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }
}

/// The start line and the header list of a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// Without its line end.
    pub(crate) start: String,
    /// In the order they came.
    pub(crate) headers: Fields,
    /// Start line, header lines and the empty line, byte for byte.
    pub(crate) raw: Vec<u8>,
}

impl Head {
    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response.
    ///
    /// # Panics: when the start line has none.
    pub(crate) fn status(&self) -> u16 {
        let Some(Ok(status)) = self.start.split(' ').nth(1).map(str::parse) else {
            panic!("no status in {:?}", self.start);
        };
        status
    }
}
