//! Certificates of a test's own authority, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A certificate authority that no system trusts.
pub(crate) struct Authority {
    directory: TempDir,
}

/// A server's certificate and key, as files.
pub(crate) struct Certificate {
    /// The certificate in PEM.
    pub(crate) file: PathBuf,
    /// Its key in PEM.
    pub(crate) key: PathBuf,
}

const NEW_KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
];

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Self { directory };
        authority.openssl(
            &[
                &["req", "-x509"],
                NEW_KEY.as_slice(),
                &["-subj", "/CN=a test's authority", "-days", "2"],
                &["-addext", "keyUsage=critical,keyCertSign"],
                &["-keyout", "ca.key", "-out", "ca.pem"],
            ]
            .concat(),
        );
        authority
    }

    /// Its own certificate in PEM.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A certificate that is good for these names, e.g. `DNS:localhost,IP:127.0.0.1`.
    pub(crate) fn certificate(&self, names: &str) -> Certificate {
        self.openssl(
            &[
                &["req"],
                NEW_KEY.as_slice(),
                &["-subj", "/CN=localhost"],
                &["-keyout", "server.key", "-out", "server.csr"],
            ]
            .concat(),
        );
        let extensions = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(self.path("extensions"), extensions).expect("writing a file");
        self.openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-extfile",
            "extensions",
            "-out",
            "server.pem",
        ]);
        Certificate {
            file: self.path("server.pem"),
            key: self.path("server.key"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(self.directory.path());
        let output = command.output().expect("openssl is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {said}");
    }
}

impl Certificate {
    /// Copies both into a folder: a server may read its own folder alone. Gives certificate and key
    /// there.
    pub(crate) fn copy_to(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let copy = |from: &Path, name: &str| {
            let to = folder.join(name);
            std::fs::copy(from, &to).expect("copying a file");
            to
        };
        (
            copy(&self.file, "server.pem"),
            copy(&self.key, "server.key"),
        )
    }
}
