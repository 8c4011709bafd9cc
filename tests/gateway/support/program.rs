//! A child process whose output lines are events. Killed by its own pid when dropped.

use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::within;

/// A running program.
pub(crate) struct Program {
    name: String,
    child: Child,
    pid: u32,
    lines: mpsc::UnboundedReceiver<String>,
    seen: Vec<String>,
    /// Number of lines consumed by `line`.
    told: usize,
}

impl Program {
    /// Starts it, with nothing on its standard input.
    ///
    /// # Panics: when there is no such program; `tests/run` installs what the tests need.
    pub(crate) fn start(mut command: Command) -> Self {
        let name = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("starting {name}: {error}; is it installed?"));
        let (sender, lines) = mpsc::unbounded_channel();
        forward(child.stdout.take().expect("piped"), sender.clone());
        forward(child.stderr.take().expect("piped"), sender);
        let pid = child.id().expect("just started");
        Self {
            name,
            child,
            pid,
            lines,
            seen: Vec::new(),
            told: 0,
        }
    }

    /// Waits for the next output line that holds `text`.
    ///
    /// # Panics: with the whole output, when it ends without such a line.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        let found = self.find(text).await;
        self.told = found + 1;
        self.seen[found].clone()
    }

    /// Waits for a line with `text`; `line` still finds every line.
    ///
    /// # Panics: as `line`.
    pub(crate) async fn wait_for(&mut self, text: &str) {
        self.find(text).await;
    }

    /// Index of the next line with `text` among those not consumed by `line`.
    async fn find(&mut self, text: &str) -> usize {
        let what = format!("{text:?} from {}", self.name);
        let found = async {
            let mut at = self.told;
            loop {
                while let Some(line) = self.seen.get(at) {
                    if line.contains(text) {
                        return at;
                    }
                    at += 1;
                }
                let Some(line) = self.lines.recv().await else {
                    panic!(
                        "{} ended without {text:?}:\n{}",
                        self.name,
                        self.seen.join("\n")
                    );
                };
                self.seen.push(line);
            }
        };
        within(&what, found).await
    }

    /// Sends a signal, e.g. `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        self.kill_by(signal, "kill -$0 $1");
    }

    /// Sends a signal to it and to the processes that it started itself.
    pub(crate) fn signal_all(&self, signal: &str) {
        self.kill_by(signal, "kill -$0 $1 $(cat /proc/$1/task/$1/children)");
    }

    /// The shell's own `kill`: the program of that name is not on every machine.
    fn kill_by(&self, signal: &str, script: &str) {
        let status = std::process::Command::new("sh")
            .args(["-c", script, signal, &self.pid.to_string()])
            .status()
            .expect("running sh");
        assert!(status.success(), "kill -{signal} {}: {status}", self.name);
    }

    /// Its resident memory.
    pub(crate) fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        let status = status.expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.expect("VmRSS").trim().parse().expect("a number")
    }

    /// Its open descriptors.
    pub(crate) fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.pid));
        files.expect("a running process").count()
    }

    /// The processor time it has used, in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        let stat = stat.expect("a running process");
        // The name may hold blanks; the fields after its bracket are fixed.
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let used = fields.split_whitespace().skip(11).take(2);
        used.map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum()
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        within(&what, self.child.wait()).await.expect("waiting")
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("asking").is_some()
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("killing");
    }

    /// The whole output, once it has ended.
    pub(crate) async fn output(&mut self) -> String {
        let rest = async {
            while let Some(line) = self.lines.recv().await {
                self.seen.push(line);
            }
        };
        within("the end of its output", rest).await;
        self.seen.join("\n")
    }
}

/// Sends on every line of `stream`.
fn forward(stream: impl AsyncRead + Unpin + Send + 'static, to: mpsc::UnboundedSender<String>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            // The receiver may be gone, but the pipe must not fill up.
            let _ = to.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
}
