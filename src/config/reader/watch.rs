//! The content of the files of a configuration, to detect changes. Names are resolved anew each
//! time, so that the swap of a symlink is seen, as by Kubernetes ConfigMaps.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

/// Bytes read of each file, at most: no file of a configuration is that large.
const READ_LIMIT: u64 = 2 << 20;

/// Files, with what each held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchedFiles(Vec<(PathBuf, Content)>);

/// What a file held.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Hash(Vec<u8>),
    /// It could not be read, for this kind of cause.
    Unreadable(io::ErrorKind),
    /// A pipe or device, which can be read once only: not watched.
    Unwatched,
}

impl WatchedFiles {
    /// Notes what was read of a file.
    pub(in crate::config) fn note(&mut self, file: &Path, read: &io::Result<FileBytes>) {
        let content = match read {
            Ok(read) if read.is_regular => Content::Hash(hash(&read.bytes)),
            Ok(_) => Content::Unwatched,
            Err(error) => Content::Unreadable(error.kind()),
        };
        self.0.push((file.to_owned(), content));
    }

    /// Adds what was read of further files.
    pub(in crate::config) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The same files as they are now.
    #[must_use]
    pub fn now(&self) -> Self {
        let now = |(file, _): &(PathBuf, Content)| (file.clone(), content_of(file));
        Self(self.0.iter().map(now).collect())
    }
}

/// The bytes of a file, as far as they were read.
pub(in crate::config) struct FileBytes {
    pub(in crate::config) bytes: Vec<u8>,
    /// Neither a pipe nor a device.
    is_regular: bool,
    pub(in crate::config) metadata: fs::Metadata,
}

/// Reads a file, up to `READ_LIMIT`.
///
/// # Errors
/// As the operating system says.
pub(in crate::config) fn read(file: &Path) -> io::Result<FileBytes> {
    let opened = fs::File::open(file)?;
    let metadata = opened.metadata()?;
    let mut bytes = Vec::new();
    opened.take(READ_LIMIT).read_to_end(&mut bytes)?;
    Ok(FileBytes {
        bytes,
        is_regular: metadata.is_file(),
        metadata,
    })
}

fn content_of(file: &Path) -> Content {
    let read = match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() || metadata.is_dir() => read(file),
        // To open a pipe would wait for its writer.
        Ok(_) => return Content::Unwatched,
        Err(error) => Err(error),
    };
    match read {
        Ok(read) => Content::Hash(hash(&read.bytes)),
        Err(error) => Content::Unreadable(error.kind()),
    }
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_changed_content_is_a_change_and_a_pipe_is_never_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let pipe = path("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, "once")
        });
        fs::write(path("file"), "a").unwrap();
        let mut files = WatchedFiles::default();
        for file in [
            &path("file"),
            &pipe,
            &path("missing"),
            &folder.path().into(),
        ] {
            files.note(file, &read(file));
        }
        writer.join().unwrap().unwrap();

        assert_eq!(files.now(), files);

        for changed in ["file", "missing", "pipe"] {
            let before = files.now();
            let _ = fs::remove_file(path(changed));
            fs::write(path(changed), "b").unwrap();
            assert_ne!(files.now(), before, "{changed}");
        }
    }
}
