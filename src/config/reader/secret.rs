//! Secrets: in the file, in a file of their own, or from the environment.

use super::environment::{self, SecretFile};
use super::fault::Fault;
use super::key::{Key, Reload};
use super::table::Reader;
use super::value::text;
use crate::secret::Secret;

/// What stands under a secret's two keys.
enum Found {
    Secret(Secret),
    /// Neither key, or the empty text.
    Nothing,
    /// Something that was reported.
    Wrong,
}

impl Reader<'_> {
    /// A secret under `name`, or the path of its file under `file_name`; not both. The empty text
    /// is none.
    pub(in crate::config) fn secret(
        &self,
        key: &'static Key,
        file_key: &'static Key,
    ) -> Option<Secret> {
        match self.find_secret(key, file_key) {
            Found::Secret(secret) => Some(secret),
            Found::Nothing | Found::Wrong => None,
        }
    }

    /// As `secret`, but one must be there.
    pub(in crate::config) fn required_secret(
        &self,
        key: &'static Key,
        file_key: &'static Key,
    ) -> Option<Secret> {
        match self.find_secret(key, file_key) {
            Found::Secret(secret) => return Some(secret),
            Found::Wrong => return None,
            Found::Nothing => {}
        }
        let (name, file_name) = (key.name, file_key.name);
        let help = || {
            Some(format!(
                "write the value, `${{VARIABLE}}`, or {file_name} = \"PATH\""
            ))
        };
        match [name, file_name].into_iter().find(|name| self.has(name)) {
            Some(name) => self.error(name, "is empty", help()),
            None => self.missing(name)?,
        }
        None
    }

    fn find_secret(&self, key: &'static Key, file_key: &'static Key) -> Found {
        let (name, file_name) = (key.name, file_key.name);
        self.declare(key, false);
        self.declare(file_key, false);
        let read = |name: &str| {
            let plain = |text: &str| Ok(text.to_owned());
            self.value(name).and_then(|value| text(plain)(&value))
        };
        let (direct, file) = (read(name), read(file_name));
        if direct.is_none() && self.has(name) || file.is_none() && self.has(file_name) {
            return Found::Wrong;
        }
        let found = match (direct.unwrap_or_default(), file.unwrap_or_default()) {
            (direct, file) if direct.is_empty() && file.is_empty() => Found::Nothing,
            (direct, file) if direct.is_empty() => self
                .secret_file(file_name, &file)
                .map_or(Found::Wrong, Found::Secret),
            (direct, file) if file.is_empty() => self.plain_secret(name, direct),
            _ => {
                let help = Some("keep one of the two".to_owned());
                self.error(file_name, &format!("`{name}` is written too"), help);
                Found::Wrong
            }
        };
        // The secret counts, wherever it was read from.
        if let Found::Secret(secret) = &found
            && key.reload == Reload::Restart
        {
            self.note_text(name, secret.expose());
        }
        found
    }

    fn plain_secret(&self, name: &str, text: String) -> Found {
        if text.to_ascii_lowercase().starts_with("change-me") {
            self.warning(
                name,
                "still the placeholder",
                "put the real value, or `${VARIABLE}`",
            );
        }
        if text.trim() != text {
            self.error(
                name,
                "starts or ends with a blank",
                Some("remove the blank".to_owned()),
            );
            return Found::Wrong;
        }
        Found::Secret(Secret::new(text))
    }

    fn read_file(&self, path: &str) -> Result<SecretFile, Fault> {
        let file = self.cx.folder.join(path);
        environment::read_secret(&file, &mut self.cx.files.borrow_mut())
    }

    /// Reads a file that holds no secret: certificates.
    pub(in crate::config) fn open_file(&self, key: &'static Key, path: &str) -> Option<String> {
        match self.read_file(path) {
            Ok(file) => {
                if key.reload == Reload::Restart {
                    self.note_text(key.name, file.secret.expose());
                }
                Some(file.secret.expose().to_owned())
            }
            Err(fault) => self.value(key.name)?.fault(path, fault),
        }
    }

    /// Reads the file of a secret.
    pub(in crate::config) fn secret_file(&self, name: &str, path: &str) -> Option<Secret> {
        match self.read_file(path) {
            Ok(file) => {
                if file.world_readable {
                    let help = "chmod 640 or less, or defaultMode: 0440 for a Kubernetes secret";
                    self.warning(
                        name,
                        &format!("every user of this machine can read `{path}`"),
                        help,
                    );
                }
                Some(file.secret)
            }
            Err(fault) => self.value(name)?.fault(path, fault),
        }
    }
}
