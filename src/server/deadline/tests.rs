//! Which deadline ends a connection, and when.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const HEAD: Duration = Duration::from_secs(10);
const DEADLINES: Deadlines = Deadlines {
    idle: Duration::from_secs(75),
    write: Duration::from_secs(30),
};

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_cut_after_header_timeout() {
    let (mut client, server) = tokio::io::duplex(64);
    let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, ConnectionState::new());
    let started = Instant::now();
    let dripping = async {
        loop {
            client.write_all(b"x").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let reading = async {
        let mut byte = [0];
        loop {
            if let Err(error) = stream.read_exact(&mut byte).await {
                return error;
            }
        }
    };
    let error = tokio::select! { error = reading => error, () = dripping => unreachable!() };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(
        (10..12).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn idle_timeout_applies_between_requests_only() {
    let (_client, server) = tokio::io::duplex(64);
    let state = ConnectionState::new();
    let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
    let started = Instant::now();
    let request = state.start_request();
    let ends = async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        drop(request);
    };
    let mut byte = [0];
    let (error, ()) = tokio::join!(stream.read_exact(&mut byte), ends);
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let elapsed = started.elapsed().as_secs();
    assert!((375..=386).contains(&elapsed), "{elapsed}");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_never_idle() {
    let (mut client, server) = tokio::io::duplex(64);
    let state = ConnectionState::new();
    let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
    state.start_request().into_tunnel();
    let mut byte = [0];
    let hours_later = async {
        tokio::time::sleep(Duration::from_secs(10_000)).await;
        client.write_all(b"x").await.unwrap();
    };
    let (read, ()) = tokio::join!(stream.read_exact(&mut byte), hours_later);
    read.unwrap();
}

#[tokio::test(start_paused = true)]
async fn http2_connections_have_only_the_idle_deadline() {
    let (mut client, server) = tokio::io::duplex(64);
    let stalls = Arc::default();
    let mut stream = DeadlineStream::http2(server, stalls, DEADLINES, ConnectionState::new());
    client.write_all(b"x").await.unwrap();
    let started = Instant::now();
    let mut bytes = [0; 2];
    let error = stream.read_exact(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn an_unread_response_is_cut_after_body_timeout() {
    let (_client, server) = tokio::io::duplex(64);
    let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, ConnectionState::new());
    let started = Instant::now();
    let error = stream.write_all(&[0; 100]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 30);
}

/// Writes a response of which the client reads this many bytes every five seconds; the second
/// at which it was cut.
async fn read_at(bytes: usize) -> Option<u64> {
    let (mut client, server) = tokio::io::duplex(64);
    let state = ConnectionState::new();
    let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
    let _request = state.start_request();
    let started = Instant::now();
    let reading = async {
        let mut some = vec![0; bytes];
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            client.read_exact(&mut some).await.unwrap();
        }
    };
    let all = vec![0; 300 * 1024];
    tokio::select! {
        written = stream.write_all(&all) => {
            written.is_err().then(|| started.elapsed().as_secs())
        }
        () = reading => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_read_below_1_kib_per_second_is_cut_despite_progress() {
    assert_eq!(read_at(64).await, Some(35));
    assert_eq!(read_at(4 * 1024).await, Some(35));
    assert_eq!(read_at(6 * 1024).await, None);
}

#[tokio::test(start_paused = true)]
async fn rare_events_do_not_count_as_slow_reading() {
    let (mut client, server) = tokio::io::duplex(64);
    let state = ConnectionState::new();
    let mut stream = DeadlineStream::http1(server, HEAD, DEADLINES, Arc::clone(&state));
    let _request = state.start_request();
    for _ in 0..100 {
        stream.write_all(b"data: 1\n\n").await.unwrap();
        client.read_exact(&mut [0; 9]).await.unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_slowly_read_response_is_not_idle() {
    let (mut client, server) = tokio::io::duplex(16 * 1024);
    let deadlines = Deadlines {
        idle: Duration::from_secs(5),
        ..DEADLINES
    };
    let state = ConnectionState::new();
    let stream = DeadlineStream::http1(server, HEAD, deadlines, Arc::clone(&state));
    // The request ends before its response has gone out.
    drop(state.start_request());
    let (mut reading, mut writing) = tokio::io::split(stream);
    let started = Instant::now();
    let slow = async {
        let mut bytes = [0; 16 * 1024];
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(8)).await;
            client.read_exact(&mut bytes).await.unwrap();
        }
    };
    let end = async {
        let error = reading.read_exact(&mut [0]).await.unwrap_err();
        (error.kind(), started.elapsed().as_secs())
    };
    let all = [0; 160 * 1024];
    let (written, end, ()) = tokio::join!(writing.write_all(&all), end, slow);
    written.unwrap();
    // The last chunk finds room when the one before it is read, at 72 s.
    assert_eq!(end, (io::ErrorKind::TimedOut, 77));
}
