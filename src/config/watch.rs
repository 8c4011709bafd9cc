//! The content of the files of a configuration, to detect changes. Names are resolved anew each
//! time, so that the swap of a symlink is seen, as by Kubernetes ConfigMaps.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ring::digest::{Context, Digest, SHA256};

/// Read of each file, at most: no file of a configuration is larger.
const READ_LIMIT: u64 = 2 << 20;

/// Files, with a hash of what each held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFiles(Vec<(PathBuf, Content)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Hash(Vec<u8>),
    /// It cannot be read, for this kind of cause.
    Unreadable(std::io::ErrorKind),
}

impl WatchedFiles {
    /// The files as they are now.
    pub(super) fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let read = |file: PathBuf| {
            let content = content(&file);
            (file, content)
        };
        Self(files.into_iter().map(read).collect())
    }

    /// These, and more as they are now.
    pub(super) fn with(mut self, files: Vec<PathBuf>) -> Self {
        self.0.extend(Self::new(files).0);
        self
    }

    /// These files, with what `earlier` has of them: a change between both counts as one to come.
    #[must_use]
    pub fn as_of(mut self, earlier: &Self) -> Self {
        for (file, content) in &mut self.0 {
            if let Some((_, known)) = earlier.0.iter().find(|(known, _)| known == file) {
                content.clone_from(known);
            }
        }
        self
    }

    /// The same files as they are now.
    #[must_use]
    pub fn now(&self) -> Self {
        Self::new(self.0.iter().map(|(file, _)| file.clone()))
    }
}

fn content(file: &Path) -> Content {
    let hash = || -> std::io::Result<Digest> {
        let mut bytes = Vec::new();
        File::open(file)?.take(READ_LIMIT).read_to_end(&mut bytes)?;
        let mut context = Context::new(&SHA256);
        context.update(&bytes);
        Ok(context.finish())
    };
    match hash() {
        Ok(hash) => Content::Hash(hash.as_ref().to_vec()),
        Err(error) => Content::Unreadable(error.kind()),
    }
}
