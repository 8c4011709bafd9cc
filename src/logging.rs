//! Log output: lines go into a bounded buffer, and one thread writes them in batches. Logging never
//! blocks on the reader of standard output; while the reader stalls, lines are dropped and counted.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::clock;
use crate::config::{Log, LogFormat};

/// Maximum number of buffered bytes; about 4,000 lines.
const MAX_BUFFERED_BYTES: usize = 1 << 20;
/// Time in which lines are collected for one write.
const BATCH_TIME: Duration = Duration::from_millis(10);
/// Time limit of the final flush.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static SINK: OnceLock<LogSink> = OnceLock::new();
/// The filter of the log, replaced when `log.level` changes.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// The buffer. Clones share it.
#[derive(Debug, Clone)]
pub struct LogSink {
    shared: Arc<Shared>,
}

/// The line format, after `auto` was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One JSON object a line.
    Json,
    /// Text for terminals.
    Text,
}

#[derive(Debug)]
struct Shared {
    layout: Layout,
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    dropped: u64,
    /// The writer is writing lines.
    busy: bool,
    /// The writer waits for lines.
    waiting: bool,
}

/// Sends the log of this process to standard output. Call once, early.
///
/// # Errors
/// The level is not a filter; a validated configuration always holds one.
pub fn init(log: &Log, is_terminal: bool) -> Result<LogSink, String> {
    init_on(log, is_terminal, Box::new(io::stdout()))
}

/// As `init`, with another output.
///
/// # Errors
/// As `init`.
pub fn init_on(
    log: &Log,
    is_terminal: bool,
    output: Box<dyn Write + Send>,
) -> Result<LogSink, String> {
    let layout = match log.format {
        LogFormat::Auto if is_terminal => Layout::Text,
        LogFormat::Text => Layout::Text,
        LogFormat::Auto | LogFormat::Json => Layout::Json,
    };
    let filter = EnvFilter::try_new(&log.level).map_err(|error| error.to_string())?;
    let sink = LogSink::start(layout, output);
    let sink = SINK.get_or_init(|| sink).clone();
    let (filter, handle) = reload::Layer::new(filter);
    // Installed once, like the subscriber.
    let _ = LEVEL.set(handle);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(sink.clone())
        .with_timer(Stamp)
        .with_ansi(false);
    let ours = filter_fn(|event| is_ours(event.target()));
    let installed = match layout {
        Layout::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            registry
                .with(lines.with_span_list(false).with_filter(ours))
                .try_init()
        }
        Layout::Text => {
            let lines = lines.with_target(false).compact();
            registry.with(lines.with_filter(ours)).try_init()
        }
    };
    installed.map_err(|error| error.to_string())?;
    Ok(sink)
}

/// Follows another `log.level`. Does nothing in a process that sends no log.
///
/// # Errors
/// As `init`.
pub fn set_level(level: &str) -> Result<(), String> {
    let Some(handle) = LEVEL.get() else {
        return Ok(());
    };
    let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
    handle.reload(filter).map_err(|error| error.to_string())
}

/// Whether a character could end a line, colour a terminal, or disguise the text after it: control
/// characters, line separators, invisible characters and those that change the text direction.
#[must_use]
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

/// Writes a character of the basic plane as a JSON escape; text lines use the same.
pub fn push_escaped(line: &mut String, character: char) {
    // Writing to a String cannot fail.
    let _ = write!(line, "\\u{:04x}", u32::from(character));
}

/// Events of libraries are never written: at `debug` and `trace` they may contain headers and
/// secrets.
fn is_ours(target: &str) -> bool {
    target == "request" || target.starts_with("skeygate")
}

/// The timestamp format of request lines, so that lines of both kinds sort by their text.
#[derive(Debug)]
struct Stamp;

impl FormatTime for Stamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        clock::write_timestamp(writer)
    }
}

/// The process's sink; `None` before `init`, as in tests.
#[must_use]
pub fn sink() -> Option<&'static LogSink> {
    SINK.get()
}

impl LogSink {
    /// A new sink with its writing thread, which ends with the process.
    #[must_use]
    pub fn start(layout: Layout, output: Box<dyn Write + Send>) -> Self {
        let shared = Arc::new(Shared {
            layout,
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        // Without a thread nothing is logged, but the gateway serves.
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write(output));
        Self { shared }
    }

    /// The line format.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.shared.layout
    }

    /// Takes one whole line with its line feed. Drops it when the buffer is full.
    pub fn line(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.lines.len().saturating_add(line.len()) > MAX_BUFFERED_BYTES {
            state.dropped = state.dropped.saturating_add(1);
            return;
        }
        state.lines.extend_from_slice(line);
        let wake = std::mem::take(&mut state.waiting);
        drop(state);
        if wake {
            self.shared.filled.notify_one();
        }
    }

    /// Waits until everything is written, at most a second.
    pub fn flush(&self) {
        let state = self.shared.lock();
        let unwritten = |state: &mut State| state.busy || !state.lines.is_empty();
        let _ = self
            .shared
            .drained
            .wait_timeout_while(state, FLUSH_TIMEOUT, unwritten);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut output: Box<dyn Write + Send>) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            state.busy = false;
            if state.lines.is_empty() {
                self.drained.notify_all();
            }
            while state.lines.is_empty() {
                state.waiting = true;
                state = self
                    .filled
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.waiting = false;
            state.busy = true;
            drop(state);
            // Collecting turns thousands of lines a second into a hundred writes.
            thread::sleep(BATCH_TIME);
            let mut state = self.lock();
            std::mem::swap(&mut batch, &mut state.lines);
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            // A closed output does not stop the gateway.
            let _ = output.write_all(&batch).and_then(|()| output.flush());
            batch.clear();
            if dropped > 0 {
                tracing::warn!(
                    lines = dropped,
                    "the log was not read fast enough; lines were dropped"
                );
            }
        }
    }
}

/// Collects the fields of one event into a line.
#[derive(Debug)]
pub struct EventLine<'a> {
    sink: &'a LogSink,
    line: Vec<u8>,
}

impl Write for EventLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for EventLine<'_> {
    fn drop(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end_matches('\n');
        // Causes may come from other programs; an event stays one line with any of them.
        let mut line = String::with_capacity(text.len() + 1);
        for character in text.chars() {
            if is_deceptive(character) {
                push_escaped(&mut line, character);
            } else {
                line.push(character);
            }
        }
        line.push('\n');
        self.sink.line(line.as_bytes());
    }
}

impl<'a> MakeWriter<'a> for LogSink {
    type Writer = EventLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        EventLine {
            sink: self,
            line: Vec::with_capacity(256),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output whose every write waits for permission, as a pipe without a reader does.
    struct Stalled {
        permission: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.permission.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_never_blocks_the_writer_of_them() {
        let (permit, permission) = channel();
        let (written, output) = channel();
        let sink = LogSink::start(
            Layout::Json,
            Box::new(Stalled {
                permission,
                written,
            }),
        );
        let line = [b'x'; 1024];
        // Three times the capacity, while nothing is read.
        for _ in 0..3 * MAX_BUFFERED_BYTES / line.len() {
            sink.line(&line);
        }
        drop(permit);
        sink.flush();
        let written: usize = output.try_iter().map(|batch| batch.len()).sum();
        assert!(written >= MAX_BUFFERED_BYTES, "{written}");
        assert!(written <= 2 * MAX_BUFFERED_BYTES, "{written}");
    }
}
