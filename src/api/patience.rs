//! Readers who trickle: whoever takes a large answer more slowly than [`RATE_MIN`] for longer than [`GRACE`] is cut off,
//! so that nobody holds our memory for hours. A slow honest download is not.
//!
//! Time is counted while a piece waits to be taken, and what is taken buys time: a bucket of seconds. Where it runs
//! empty the connection's socket is shut down, for nothing else ends a write that never ends.

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceResponse};
use actix_web::web::Bytes;
use std::any::Any;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Bytes a second that a reader has to take, on average.
pub const RATE_MIN: f64 = 8.0 * 1024.0;
/// For how long one may take none.
pub const GRACE: Duration = Duration::from_secs(60);
/// What the kernel may hold of an answer: it tells us of room by the third of it, which a reader at [`RATE_MIN`] has to
/// reach within [`GRACE`]. The kernel doubles what it is told.
pub const SEND_BUFFER_BYTES: usize = 384 * 1024;
/// Answers that are smaller fit into what is held for a connection anyway.
const SMALL_BYTES: u64 = 64 * 1024;
const PIECE_BYTES: usize = 32 * 1024;

/// The socket under a connection.
#[derive(Clone)]
struct Line(Arc<socket2::Socket>);

/// Remembers the socket of a new connection.
pub fn on_connect(io: &dyn Any, data: &mut Extensions) {
    let plain = io.downcast_ref::<actix_web::rt::net::TcpStream>();
    let secure = || io.downcast_ref::<actix_tls::accept::rustls_0_23::TlsStream<actix_web::rt::net::TcpStream>>();
    if let Some(stream) = plain.or_else(|| secure().map(|tls| tls.get_ref().0))
        && let Ok(socket) = socket2::SockRef::from(stream).try_clone()
    {
        data.insert(Line(Arc::new(socket)));
    }
}

/// The answer, watched where it is large.
pub fn watched(answer: ServiceResponse<impl MessageBody + 'static>) -> ServiceResponse<BoxBody> {
    let line = answer.request().conn_data::<Line>().cloned();
    answer.map_body(|_, body| {
        let small = matches!(body.size(), BodySize::None | BodySize::Sized(..SMALL_BYTES));
        match line.filter(|_| !small) {
            Some(line) => BoxBody::new(Watched::new(body.boxed(), line)),
            None => body.boxed(),
        }
    })
}

/// Seconds that a reader has left.
#[derive(Clone, Copy, Debug)]
struct Purse {
    left: f64,
    /// Since when a piece waits to be taken.
    waits: Option<Instant>,
}

impl Purse {
    fn new() -> Self {
        Self { left: GRACE.as_secs_f64(), waits: None }
    }

    /// A piece was handed over.
    fn handed(&mut self, bytes: usize, now: Instant) {
        self.left = (self.left + bytes as f64 / RATE_MIN).min(GRACE.as_secs_f64());
        self.waits = Some(now);
    }

    /// There is room for the next.
    fn taken(&mut self, now: Instant) {
        if let Some(since) = self.waits.take() {
            self.left -= now.saturating_duration_since(since).as_secs_f64();
        }
    }

    /// When it will be empty, should nothing be taken.
    fn empty_at(&self) -> Option<Instant> {
        self.waits.map(|since| since + Duration::from_secs_f64(self.left.max(0.0)))
    }
}

struct Watched {
    body: BoxBody,
    rest: Bytes,
    purse: Arc<Mutex<Purse>>,
    guard: tokio::task::JoinHandle<()>,
}

impl Watched {
    fn new(body: BoxBody, line: Line) -> Self {
        let purse = Arc::new(Mutex::new(Purse::new()));
        let guard = tokio::spawn(guard(Arc::clone(&purse), line));
        Self { body, rest: Bytes::new(), purse, guard }
    }

    fn purse(&self) -> std::sync::MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.guard.abort();
    }
}

/// Shuts the line down when the purse is empty.
async fn guard(purse: Arc<Mutex<Purse>>, line: Line) {
    loop {
        let empty = purse.lock().unwrap_or_else(PoisonError::into_inner).empty_at();
        match empty {
            Some(at) if at <= Instant::now() => {
                tracing::info!("a reader who took an answer too slowly was cut off");
                let _ = line.0.shutdown(Shutdown::Both);
                return;
            }
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

impl MessageBody for Watched {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.purse().taken(Instant::now());
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(bytes)) => self.rest = bytes,
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        self.purse().handed(length, Instant::now());
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For how many seconds a reader is borne with who takes pieces at this rate; at most an hour.
    fn borne(rate: f64, piece: usize) -> f64 {
        let start = Instant::now();
        let (mut purse, mut at) = (Purse::new(), 0.0);
        while at < 3600.0 {
            purse.handed(piece, start + Duration::from_secs_f64(at));
            let next = at + piece as f64 / rate;
            let empty = purse.empty_at().expect("it waits").duration_since(start).as_secs_f64();
            if empty < next {
                return empty;
            }
            at = next;
            purse.taken(start + Duration::from_secs_f64(at));
        }
        at
    }

    #[test]
    fn a_trickle_ends_within_its_grace_and_a_slow_download_never() {
        for piece in [1000, PIECE_BYTES, 250_000] {
            let trickled = borne(100.0, piece);
            assert!(trickled <= GRACE.as_secs_f64() * 1.02, "{piece}: {trickled}");
            assert!(borne(0.001, piece) <= GRACE.as_secs_f64() * 1.02, "nothing at all");
            assert!(borne(RATE_MIN * 1.01, piece) >= 3600.0, "{piece}");
            assert!(borne(1e6, piece) >= 3600.0);
            assert!(borne(RATE_MIN * 0.8, piece) < 600.0, "{piece}");
        }
    }
}
