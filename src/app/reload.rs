//! Hot reload: reads gateway.toml again on SIGHUP, on `POST /reload`, and when the content of it or
//! of a file that it names changes. A bad file changes nothing; all its problems are logged.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::admin::{ReloadReport, ReloadRequest};
use crate::config::{Config, ConfigError, Loaded, Problem, WatchedFiles};

/// Time to read the configuration with every file that it names.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads that may hang. Each holds a thread, as at a pipe that no process writes to.
const MAX_READS: usize = 4;

/// Reads the configuration again and puts it to work.
pub struct Reloader {
    app: Arc<App>,
    file: PathBuf,
    /// The configuration that the process started with: keys that need a restart still have its
    /// values.
    started_with: Loaded,
    /// The files as they were when they were read last, well or not.
    files: WatchedFiles,
    requests: Option<mpsc::Receiver<ReloadRequest>>,
    /// Reads that have not come back.
    reading: Arc<Semaphore>,
}

/// The trigger of a reload.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Signal,
    Request,
    Files,
}

impl Cause {
    fn word(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Request => "request",
            Self::Files => "files",
        }
    }
}

impl Reloader {
    /// Of the file that `app` was started with, in this state of its files.
    #[must_use]
    pub fn new(app: Arc<App>, file: PathBuf, started_with: Loaded, files: WatchedFiles) -> Self {
        Self {
            requests: app.take_reload_requests(),
            app,
            file,
            started_with,
            files,
            reading: Arc::new(Semaphore::new(MAX_READS)),
        }
    }

    /// Reloads until the process ends. Each message of `hangups` is a SIGHUP.
    pub async fn run(mut self, mut hangups: mpsc::Receiver<()>, shutdown: CancellationToken) {
        let (unused, never) = mpsc::channel(1);
        let mut requests = self.requests.take().unwrap_or(never);
        // A state of the files that differs from the last one read, as of the last poll.
        let mut changed = None;
        loop {
            let interval = self.app.gateway.server().reload;
            let poll = async {
                match interval {
                    Some(interval) => sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(()) = hangups.recv() => {
                    self.reload(Cause::Signal).await;
                }
                Some(request) = requests.recv() => {
                    let report = self.reload(Cause::Request).await;
                    // The client may be gone.
                    let _ = request.send(report);
                }
                () = poll => {
                    let now = self.files_now().await;
                    if now == self.files {
                        changed = None;
                    } else if changed.as_ref() == Some(&now) {
                        changed = None;
                        // So that files which cannot be read in time are reported once.
                        self.files = now;
                        self.reload(Cause::Files).await;
                    } else {
                        // A half-written file may be valid and open routes that the whole file
                        // protects, so a change counts only if the next poll finds it too.
                        changed = Some(now);
                    }
                }
            }
        }
        drop(unused);
    }

    async fn reload(&mut self, cause: Cause) -> ReloadReport {
        let file = self.file.clone();
        let report = match self.read(move || Config::load_watched(&file)).await {
            Some((loaded, files)) => {
                self.files = files;
                match loaded {
                    Ok(loaded) => self.apply(loaded).await,
                    Err(error) => refused(&error),
                }
            }
            None => {
                let problem = format!(
                    "reading the configuration took longer than {} s; is one of its files a pipe, or on a disk that hangs?",
                    READ_TIMEOUT.as_secs()
                );
                tracing::error!(problem, "configuration");
                ReloadReport::Refused {
                    problems: vec![problem],
                }
            }
        };
        match &report {
            ReloadReport::Applied { needs_restart } if needs_restart.is_empty() => {
                tracing::info!(
                    event = "config.reloaded",
                    cause = cause.word(),
                    "configuration reloaded"
                );
            }
            ReloadReport::Applied { needs_restart } => {
                tracing::warn!(
                    event = "config.reloaded",
                    cause = cause.word(),
                    keys = needs_restart.join(" "),
                    "configuration reloaded, but for changed keys that need a restart"
                );
            }
            ReloadReport::Refused { problems } => {
                tracing::error!(
                    event = "config.refused",
                    cause = cause.word(),
                    problems = problems.len(),
                    "configuration refused; the former one is used"
                );
            }
        }
        self.app.admin.note_reload(&report);
        report
    }

    async fn apply(&self, loaded: Loaded) -> ReloadReport {
        let needs_restart = self.started_with.restart_keys(&loaded);
        let needs_restart = needs_restart.into_iter().map(str::to_owned).collect();
        log_warnings(&loaded.warnings);
        match self.app.apply(loaded.config).await {
            Ok(()) => ReloadReport::Applied { needs_restart },
            Err(error) => {
                tracing::error!(%error, "the new configuration cannot be used");
                ReloadReport::Refused {
                    problems: vec![error.to_string()],
                }
            }
        }
    }

    /// The files as they are now; as they were, when they cannot be read in time.
    async fn files_now(&self) -> WatchedFiles {
        let files = self.files.clone();
        let now = self.read(move || files.now()).await;
        now.unwrap_or_else(|| self.files.clone())
    }

    /// Reads files in a thread of its own. `None` after `READ_TIMEOUT`, and at once while
    /// `MAX_READS` earlier reads have not come back.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.reading).try_acquire_owned().ok()?;
        let reading = spawn_blocking(move || {
            let _permit = permit;
            read()
        });
        match timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(read)) => Some(read),
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

fn refused(error: &ConfigError) -> ReloadReport {
    for Problem {
        file,
        line,
        column,
        message,
        help,
        ..
    } in error.problems()
    {
        tracing::error!(place = %format_args!("{file}:{line}:{column}"), problem = message, help, "configuration");
    }
    let mut problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        tracing::error!(problem = %error, "configuration");
        problems.push(error.to_string());
    }
    ReloadReport::Refused { problems }
}

/// Logs the warnings of a good configuration, without source lines, whose carets would lose their
/// columns.
pub fn log_warnings(warnings: &[Problem]) {
    for Problem {
        file,
        line,
        column,
        message,
        help,
        ..
    } in warnings
    {
        tracing::warn!(place = %format_args!("{file}:{line}:{column}"), warning = message, help, "configuration");
    }
}
