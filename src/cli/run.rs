//! `skeygate run`: start-up, signals, shutdown.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{BAD_CONFIG, File, UNAVAILABLE, fail, word};
use crate::app::{App, Reloader, StartError, log_warnings};
use crate::config::{Action, Loaded, Route, WatchedFiles, Workers};
use crate::logging::{self, LogSink};
use crate::redis::{Persistence, RedisLink};
use crate::server::Ended;
use crate::users::UserDirectory;

/// How long start-up waits for Redis; containers often start together.
const REDIS_START_TIMEOUT: Duration = Duration::from_secs(5);
/// How long start-up waits for the user database, which takes longer to start.
const DATABASE_START_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_DELAY: Duration = Duration::from_millis(200);

pub(super) fn run(file: &File) -> ExitCode {
    let (loaded, files) = match file.load_watched() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let config = &loaded.config;
    let log = match logging::init(&config.log, io::stdout().is_terminal()) {
        Ok(log) => log,
        Err(error) => return fail(&format!("starting the log: {error}"), BAD_CONFIG),
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %file.config.display(), "starting");
    log_warnings(&loaded.warnings);
    let workers = match config.server.workers {
        Workers::Count(count) => count,
        // Counts the control group's CPU quota.
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    };
    log_panics();
    raise_descriptor_limit(config.server.max_connections);
    let runtime = match runtime(workers) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("starting: {error}"), 1),
    };
    let status = runtime.block_on(serve(file, loaded, files));
    // The drain is over: waiting for remaining tasks would exceed server.shutdown.drain.
    runtime.shutdown_background();
    end(&log, status)
}

/// A single worker runs on the main thread, without work stealing.
fn runtime(workers: usize) -> io::Result<Runtime> {
    if workers == 1 {
        return single_threaded();
    }
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
}

pub(super) fn single_threaded() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn end(log: &LogSink, status: ExitCode) -> ExitCode {
    log.flush();
    status
}

async fn serve(file: &File, loaded: Loaded, files: WatchedFiles) -> ExitCode {
    for route in &loaded.config.routes {
        log_route(route);
    }
    let shutdown = CancellationToken::new();
    let (hangup, hangups) = mpsc::channel(1);
    // Before the first await: as process 1 of a container, SIGTERM is ignored without a handler.
    if let Err(error) = watch_signals(shutdown.clone(), Some(hangup)) {
        tracing::error!(%error, "cannot watch signals");
        return ExitCode::FAILURE;
    }
    let (app, bound) = match App::start(loaded.config.clone(), shutdown.clone()).await {
        Ok(started) => started,
        Err(error) => {
            let status = match &error {
                StartError::Bind(_) => UNAVAILABLE,
                StartError::Redis(_)
                | StartError::Routes(_)
                | StartError::Wechat(_)
                | StartError::Webhook(_) => BAD_CONFIG,
            };
            tracing::error!(%error, help = cure(&error), "cannot start");
            return ExitCode::from(status);
        }
    };
    let greeting = async {
        if let Some(link) = &app.stores().redis {
            greet_redis(link).await?;
        }
        greet_users(&app.stores().users).await
    };
    let greeted = tokio::select! {
        biased;
        greeted = greeting => greeted,
        () = shutdown.cancelled() => {
            tracing::info!("stopped before serving");
            return ExitCode::SUCCESS;
        }
    };
    if let Err(status) = greeted {
        return status;
    }
    for address in bound.addresses() {
        tracing::info!(listen = %address, "listening");
    }
    if let Some(address) = bound.admin_address() {
        tracing::info!(admin.listen = %address, "listening for /livez and /readyz");
    }
    let reloader = Reloader::new(Arc::clone(&app), file.config.clone(), loaded, files);
    tokio::spawn(reloader.run(hangups, shutdown));
    match app.run(bound).await {
        Ended::Drained => tracing::info!("stopped; requests in flight were finished"),
        Ended::CutOff(open) => {
            tracing::warn!(
                open,
                "stopped; open connections were cut after server.shutdown.drain"
            );
        }
    }
    ExitCode::SUCCESS
}

/// The cure for the operator.
fn cure(error: &StartError) -> Option<&'static str> {
    // Other errors name the key in their text.
    match error.bind_cause()?.kind() {
        io::ErrorKind::AddrInUse => Some(
            "in use by another process: stop that one, or change server.listen or admin.listen",
        ),
        io::ErrorKind::AddrNotAvailable => {
            Some("this machine has no such address; 0.0.0.0 means all addresses")
        }
        io::ErrorKind::NotFound => Some("the folder of a socket must exist"),
        io::ErrorKind::PermissionDenied => {
            Some("ports below 1024 and the folder of a socket need permission; 8080 needs none")
        }
        _ => None,
    }
}

fn log_route(route: &Route) {
    let to = match &route.action {
        Action::Forward(upstream) => upstream.as_str(),
        Action::Respond(_) => "(responds directly)",
    };
    let methods: Vec<&str> = route.methods.iter().map(hyper::Method::as_str).collect();
    // Left out of the log where unrestricted.
    let hosts = (!route.hosts.is_empty()).then(|| route.hosts.join(" "));
    let methods = (!methods.is_empty()).then(|| methods.join(" "));
    tracing::info!(route = %route.path, hosts, methods, auth = word(route.auth), upstream = to, "route");
}

/// Waits until Redis responds and logs its version and persistence.
async fn greet_redis(link: &RedisLink) -> Result<(), ExitCode> {
    let asking = async {
        loop {
            match link.ping().await {
                Ok(took) => return took,
                Err(error) => {
                    tracing::debug!(%error, "redis does not respond yet");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    };
    let Ok(took) = tokio::time::timeout(REDIS_START_TIMEOUT, asking).await else {
        let cause = link.ping().await.err().map(|error| error.to_string());
        // Redis may be up and refuse the credentials; the cause says so.
        tracing::error!(
            redis.address = link.address(),
            cause,
            help = "check that redis runs, and redis.url, redis.username and redis.password",
            "cannot start: redis cannot be used"
        );
        return Err(ExitCode::from(UNAVAILABLE));
    };
    let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match link.info().await {
        Ok(facts) => {
            tracing::info!(
                redis.address = link.address(),
                version = facts.version,
                elapsed_ms,
                "redis answers"
            );
            if facts.persistence == Persistence::Off {
                tracing::warn!(
                    redis.address = link.address(),
                    "redis does not survive a restart: all users would have to log in again, and with \
                     users.store = \"redis\" become new users; set appendonly yes in redis.conf"
                );
            }
        }
        Err(error) => {
            tracing::info!(redis.address = link.address(), elapsed_ms, facts = %error, "redis answers");
        }
    }
    Ok(())
}

/// Waits until the user database is usable and logs its address.
async fn greet_users(users: &UserDirectory) -> Result<(), ExitCode> {
    let UserDirectory::Sql(sql) = users else {
        return Ok(());
    };
    let give_up = Instant::now() + DATABASE_START_TIMEOUT;
    loop {
        match users.prepare().await {
            Ok(()) => {
                tracing::info!(users.address = sql.address(), "user directory answers");
                return Ok(());
            }
            Err(error) if Instant::now() >= give_up => {
                tracing::error!(
                    users.address = sql.address(),
                    cause = %error,
                    help = "check that the database runs, and [users.sql]",
                    "cannot start: the user directory cannot be used"
                );
                return Err(ExitCode::from(UNAVAILABLE));
            }
            Err(error) => {
                tracing::debug!(%error, "the user directory cannot be used yet");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

/// SIGTERM and SIGINT drain; a second one exits at once. SIGHUP is sent to `hangups`, if given.
pub(super) fn watch_signals(
    shutdown: CancellationToken,
    hangups: Option<mpsc::Sender<()>>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {
                    if let Some(hangups) = &hangups {
                        // A full channel already holds a pending reload.
                        let _ = hangups.try_send(());
                    }
                    continue;
                }
            }
            if shutdown.is_cancelled() {
                tracing::warn!("second signal: ending at once");
                if let Some(log) = logging::sink() {
                    log.flush();
                }
                std::process::exit(1);
            }
            tracing::info!("draining: no new connections, requests in flight are finished");
            shutdown.cancel();
        }
    });
    Ok(())
}

/// Logs panics like all else. The request that panicked gets a 500.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a task panicked; please report this");
    }));
}

/// Raises the descriptor limit to its maximum and warns when it is too low: a connection needs one
/// descriptor, a request in flight two more for the upstream, and the fourth is for idle upstream
/// connections and calls to Redis and WeChat.
fn raise_descriptor_limit(max_connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() {
        maximum
    } else {
        current
    };
    let needed = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_mul(4);
    if let Some(limit) = limit
        && limit < needed
    {
        tracing::warn!(
            limit,
            needed,
            "few file descriptors for server.max_connections; raise the limit (ulimit -n, LimitNOFILE) or lower it"
        );
    }
}
