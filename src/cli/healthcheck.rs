//! `skeygate healthcheck`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{BAD_CONFIG, File, fail, print_line, run};

/// Deadline of the whole probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: File,
    /// Probe /livez instead: whether the process runs.
    #[arg(long)]
    live: bool,
}

pub(super) fn healthcheck(arguments: &Arguments) -> ExitCode {
    let config = match arguments.file.load() {
        Ok(loaded) => loaded.config,
        Err(status) => return status,
    };
    let Some(address) = config.admin.listen else {
        return fail(
            "admin.listen is empty: there is no listener to probe",
            BAD_CONFIG,
        );
    };
    let path = if arguments.live { "/livez" } else { "/readyz" };
    let runtime = match run::single_threaded() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("starting: {error}"), 1),
    };
    let asked = runtime.block_on(async {
        tokio::time::timeout(PROBE_TIMEOUT, ask(reachable(address), path)).await
    });
    match asked {
        Ok(Ok((true, text))) => {
            print_line(&text);
            ExitCode::SUCCESS
        }
        Ok(Ok((false, text))) => fail(&text, 1),
        Ok(Err(error)) => fail(&format!("asking {address}{path}: {error}"), 1),
        Err(_) => fail(
            &format!("asking {address}{path}: no response within {PROBE_TIMEOUT:?}"),
            1,
        ),
    }
}

/// The loopback address of a listener on all addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// Whether the status is 200, and the body.
async fn ask(address: SocketAddr, path: &str) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.take(64 * 1024).read_to_string(&mut response).await?;
    let body = response
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.trim().to_owned());
    Ok((
        response.starts_with("HTTP/1.1 200 "),
        body.unwrap_or_default(),
    ))
}
